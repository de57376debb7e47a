"""Hosts and the gateways that hold them."""

from __future__ import annotations

import msgspec
from sqlalchemy import insert, update

from kilostack.core.errors import Duplicate
from kilostack.network.model.records import Gateway, Host
from kilostack.network.store.tables import GATEWAYS, HOSTS, gateways
from kilostack.store.database import Tx
from kilostack.store.sql import Query, p

_BEAT = Query(update(gateways).where(gateways.c.name == p("gateway")).values(beat=p("count"), at=p("now")))
_FIRST_BEAT = Query(insert(gateways).values(name=p("gateway"), beat=p("count"), at=p("now")))


async def every(tx: Tx) -> list[Host]:
    """All hosts, by name."""
    return await HOSTS.where(tx)


async def write(tx: Tx, old: Host | None, new: Host) -> Host:
    """Insert or replace a host's row."""
    return await HOSTS.insert(tx, new) if old is None else await HOSTS.update(tx, new)


async def beat(tx: Tx, gateway: str, count: int, now: int) -> None:
    """Keep a gateway's beat."""
    if await tx.run(_BEAT, gateway=gateway, count=count, now=now) == 1:
        return
    try:
        await tx.run(_FIRST_BEAT, gateway=gateway, count=count, now=now)
    except Duplicate:
        await tx.run(_BEAT, gateway=gateway, count=count, now=now)


async def beats(tx: Tx) -> dict[str, Gateway]:
    return {gateway.name: gateway for gateway in await GATEWAYS.where(tx)}


def disconnected(host: Host) -> Host:
    return msgspec.structs.replace(host, connected=False)
