"""Records of groups and of their members, and what may be asked of their collection."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from kilostack.identity.model.groups import Group, Member
from kilostack.identity.store.tables import groups as tables
from kilostack.store.lists import Collection
from kilostack.store.records import Records
from kilostack.store.sql import InList

GROUPS = Records(Group, tables.GROUPS, noun="group")


MEMBERS = Records(Member, tables.GROUP_MEMBERS, noun="membership", key=("group_id", "user_id"))


_BY_NAME = (("name", False),)


_NAMES = {"id": "id", "name": "name"}


GROUP_LIST = Collection(GROUPS, filters={"name": "name", "domain_id": "domain_id"}, sorts=_NAMES, default_sort=_BY_NAME)


def _with_user(name: str) -> Any:
    members = tables.GROUP_MEMBERS
    return tables.GROUPS.c.id.in_(select(members.c.group_id).where(InList(members.c.user_id, name)))


#: the groups that a user is in
MEMBERSHIP_LIST = Collection(
    GROUPS,
    filters={"name": "name", "domain_id": "domain_id", "user_id": _with_user},
    sorts=_NAMES,
    default_sort=_BY_NAME,
)
