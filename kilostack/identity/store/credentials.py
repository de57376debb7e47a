"""Records of credentials, and what may be asked of their collection."""

from __future__ import annotations

from sqlalchemy import or_, update

from kilostack.identity.model.credentials import Credential
from kilostack.identity.store.tables import credentials as tables
from kilostack.store.database import Tx
from kilostack.store.lists import Collection
from kilostack.store.records import Records
from kilostack.store.sql import Query, p

CREDENTIALS = Records(Credential, tables.CREDENTIALS, noun="credential")


CREDENTIAL_LIST = Collection(
    CREDENTIALS,
    filters={"user_id": "user_id", "type": "type"},
    sorts={"id": "id", "type": "type", "user_id": "user_id", "project_id": "project_id"},
    default_sort=(("id", False),),
)

_step = tables.CREDENTIALS.c.used_step
_use_step = Query(
    update(tables.CREDENTIALS)
    .where((tables.CREDENTIALS.c.id == p("id_")) & or_(_step.is_(None), _step < p("step_")))
    .values(used_step=p("step_"))
)


async def use_step(tx: Tx, credential_id: str, step: int) -> bool:
    """Take the passcode of a time step; False when that step, or a later one, was taken before."""
    return await tx.run(_use_step, id_=credential_id, step_=step) == 1
