"""Records of application credentials."""

from __future__ import annotations

from sqlalchemy import delete, exists, select

from kilostack.identity.model.application_credentials import ApplicationCredential
from kilostack.identity.store.tables import application_credentials as tables
from kilostack.identity.store.tables.roles import ASSIGNMENTS
from kilostack.store.database import Tx
from kilostack.store.lists import Collection
from kilostack.store.records import Records
from kilostack.store.sql import Query, p

APPLICATION_CREDENTIALS = Records(ApplicationCredential, tables.APPLICATION_CREDENTIALS, noun="application credential")


_BY_NAME = (("name", False),)


_NAMES = {"id": "id", "name": "name"}


APPLICATION_CREDENTIAL_LIST = Collection(
    APPLICATION_CREDENTIALS, filters={"name": "name", "user_id": "user_id"}, sorts=_NAMES, default_sort=_BY_NAME
)

_TABLE = tables.APPLICATION_CREDENTIALS
_with_role = select(ASSIGNMENTS.c.role_id).where(
    ASSIGNMENTS.c.role_id == p("role_id"),
    ASSIGNMENTS.c.actor_kind == "user",
    ASSIGNMENTS.c.actor_id == _TABLE.c.user_id,
    ASSIGNMENTS.c.scope_kind == "project",
    ASSIGNMENTS.c.scope_id == _TABLE.c.project_id,
)
_forget_role = Query(delete(_TABLE).where(exists(_with_role)))


async def forget_role(tx: Tx, role_id: str) -> None:
    """Remove the credentials for projects on which a role that goes was given to their user."""
    await tx.run(_forget_role, role_id=role_id)
