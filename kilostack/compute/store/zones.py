"""Availability zones: what the hosts are in."""

from __future__ import annotations

from sqlalchemy import select

from kilostack.compute.store.tables import hosts
from kilostack.store.database import Tx
from kilostack.store.sql import Query

#: there even before the first host
DEFAULT_ZONE = "nova"
_ALL = Query(select(hosts.c.zone).distinct())


async def known(tx: Tx) -> set[str]:
    """The zones that a server may ask for."""
    return {DEFAULT_ZONE, *(row[0] for row in await tx.all(_ALL))}
