"""Records of policy documents and of what they are about."""

from __future__ import annotations

from kilostack.identity.model.policy_documents import Association, PolicyDocument
from kilostack.identity.store.tables import policy_documents as tables
from kilostack.store.lists import Collection
from kilostack.store.records import Records

POLICY_DOCUMENTS = Records(PolicyDocument, tables.POLICY_DOCUMENTS, noun="policy")


ASSOCIATIONS = Records(
    Association,
    tables.POLICY_ASSOCIATIONS,
    noun="policy association",
    key=("endpoint_id", "service_id", "region_id"),
)


POLICY_LIST = Collection(POLICY_DOCUMENTS, filters={"type": "type"}, sorts={"id": "id"}, default_sort=(("id", False),))
