"""Records of users, and what may be asked of their collection."""

from __future__ import annotations

from kilostack.identity.model.users import User
from kilostack.identity.store.tables import users as tables
from kilostack.store.database import Tx
from kilostack.store.lists import Collection
from kilostack.store.records import Records

USERS = Records(User, tables.USERS, noun="user")


_BY_NAME = (("name", False),)


_NAMES = {"id": "id", "name": "name"}


USER_LIST = Collection(
    USERS,
    filters={"name": "name", "domain_id": "domain_id", "enabled": "enabled"},
    sorts=_NAMES,
    default_sort=_BY_NAME,
)


async def named_user(tx: Tx, name: str, domain_id: str) -> User | None:
    """The user of that name in a domain."""
    found = await USERS.where(tx, domain_id=domain_id, name=name)
    return found[0] if found else None
