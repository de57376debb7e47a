"""Records of groups and of their members, and what may be asked of their collection."""

from __future__ import annotations

from kilostack.identity.model.groups import Group, Member
from kilostack.identity.store.tables import groups as tables
from kilostack.store.lists import Collection
from kilostack.store.records import Records

GROUPS = Records(Group, tables.GROUPS, noun="group")


MEMBERS = Records(Member, tables.GROUP_MEMBERS, noun="membership", key=("group_id", "user_id"))


_BY_NAME = (("name", False),)


_NAMES = {"id": "id", "name": "name"}


_FILTERS = {"name": "name", "domain_id": "domain_id"}


GROUP_LIST = Collection(GROUPS, filters=_FILTERS, sorts=_NAMES, default_sort=_BY_NAME)


#: some groups, by their ids
SOME_GROUPS = Collection(GROUPS, filters={**_FILTERS, "id": "id"}, sorts=_NAMES, default_sort=_BY_NAME)
