"""Roles as requests name them."""

from __future__ import annotations

from collections.abc import Iterable

from kilostack.core.errors import NotFound
from kilostack.identity.store.roles import ROLES
from kilostack.store.database import Tx


async def role_ids(tx: Tx, named: Iterable[tuple[str, str]]) -> list[str]:
    """Ids, each once, of roles given as (id, name) pairs of which one is empty; a name means a role of the whole cloud.

    Ids are taken as they are. Raises `NotFound` for a name.
    """
    found: dict[str, None] = {}
    for role_id, name in named:
        if not role_id:
            same = await ROLES.where(tx, name=name, domain_id="")
            if not same:
                raise NotFound(f"Role {name} is not defined")
            role_id = same[0].id
        found[role_id] = None
    return list(found)
