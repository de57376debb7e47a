"""Records of roles, of what they imply, and of who has them where."""

from __future__ import annotations

from kilostack.identity.model.assignments import Assignment
from kilostack.identity.model.roles import Implication, Role, implied_by
from kilostack.identity.store.tables import roles as tables
from kilostack.store.database import Tx
from kilostack.store.lists import Collection
from kilostack.store.records import Records

ROLES = Records(Role, tables.ROLES, noun="role")


IMPLICATIONS = Records(Implication, tables.IMPLICATIONS, noun="implied role", key=("prior_id", "implied_id"))


ASSIGNMENTS = Records(
    Assignment,
    tables.ASSIGNMENTS,
    noun="role assignment",
    key=("actor_id", "actor_kind", "scope_kind", "scope_id", "role_id", "inherited"),
)


_BY_NAME = (("name", False),)


_NAMES = {"id": "id", "name": "name"}


ROLE_LIST = Collection(ROLES, filters={"name": "name", "domain_id": "domain_id"}, sorts=_NAMES, default_sort=_BY_NAME)


async def implied_roles(tx: Tx) -> dict[str, tuple[str, ...]]:
    """Role -> roles that it implies directly."""
    return implied_by(await IMPLICATIONS.where(tx))
