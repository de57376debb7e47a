"""Records of application credentials."""

from __future__ import annotations

from kilostack.identity.model.application_credentials import ApplicationCredential
from kilostack.identity.store.tables import application_credentials as tables
from kilostack.store.lists import Collection
from kilostack.store.records import Records

APPLICATION_CREDENTIALS = Records(ApplicationCredential, tables.APPLICATION_CREDENTIALS, noun="application credential")


_BY_NAME = (("name", False),)


_NAMES = {"id": "id", "name": "name"}


APPLICATION_CREDENTIAL_LIST = Collection(
    APPLICATION_CREDENTIALS, filters={"name": "name", "user_id": "user_id"}, sorts=_NAMES, default_sort=_BY_NAME
)
