"""Hosts as compute sees them: rows, connections, and which gateways are alive."""

from __future__ import annotations

import msgspec
from sqlalchemy import delete, func, insert, select, update

from kilostack.compute.model.records import Host
from kilostack.compute.store.tables import FEED, HOSTS, gateways, hosts
from kilostack.core.errors import Refused
from kilostack.core.world import Micros
from kilostack.store.database import Tx
from kilostack.store.sql import Query, p
from kilostack.wire.hosts import Connect

_BEAT = Query(update(gateways).where(gateways.c.name == p("gateway")).values(beat=p("count")))
_FIRST_BEAT = Query(insert(gateways).values(name=p("gateway"), beat=p("count")))
_BEATS = Query(select(gateways.c.name, gateways.c.beat))
_LAST_NUMBER = Query(select(func.max(hosts.c.number)))
_LOSE = Query(
    update(hosts)
    .where(hosts.c.gateway == p("of"), hosts.c.connected == 1)
    .values(connected=0, updated_at=p("now"), generation=hosts.c.generation + 1, revision=hosts.c.revision + 1)
)
_FORGET = Query(delete(gateways).where(gateways.c.name == p("of"), gateways.c.beat == p("seen")))


async def connect(tx: Tx, asked: Connect, new_ids: tuple[str, str], now: Micros) -> Host:
    """A host's agent is there (anew): its row, one epoch further."""
    host = await HOSTS.find(tx, name=asked.host)
    if host is None:
        last = await tx.one(_LAST_NUMBER)
        host = await HOSTS.insert(
            tx,
            Host(
                name=asked.host,
                id=new_ids[0],
                service_id=new_ids[1],
                number=((last[0] or 0) if last else 0) + 1,
                facts=asked.facts,
                created_at=now,
                updated_at=now,
            ),
        )
    fields = {"facts": asked.facts, "gateway": asked.gateway, "connected": True, "updated_at": now}
    host = await HOSTS.update(tx, msgspec.structs.replace(host, epoch=host.epoch + 1, **fields))
    await FEED.append(tx, ["host/" + host.name])
    return host


async def disconnect(tx: Tx, name: str, epoch: int, now: Micros) -> None:
    """The connection of that epoch has ended; a newer one is not touched."""
    host = await HOSTS.find(tx, name=name)
    if host is not None and host.epoch == epoch and host.connected:
        await HOSTS.update(tx, msgspec.structs.replace(host, connected=False, updated_at=now))
        await FEED.append(tx, ["host/" + name])


async def check_epoch(tx: Tx, name: str, epoch: int) -> Host:
    """Raise `Refused` unless `epoch` is the newest connection of the host."""
    host = await HOSTS.find(tx, name=name)
    if host is None or host.epoch != epoch:
        raise Refused(f"host {name} has connected anew; this connection is epoch {epoch}")
    return host


async def beat(tx: Tx, gateway: str, count: int) -> None:
    if await tx.run(_BEAT, gateway=gateway, count=count) != 1:
        await tx.run(_FIRST_BEAT, gateway=gateway, count=count)


async def beats(tx: Tx) -> dict[str, int]:
    """Gateway -> its last beat."""
    return dict(await tx.all(_BEATS))


async def lose(tx: Tx, gateway: str, seen: int, now: Micros) -> int:
    """A gateway whose beat still is `seen` is dead: its hosts are not connected. How many there were."""
    if await tx.run(_FORGET, of=gateway, seen=seen) != 1:
        return 0
    lost = await tx.run(_LOSE, of=gateway, now=now)
    if lost:
        await FEED.append(tx, [f"host/{host.name}" for host in await HOSTS.where(tx, gateway=gateway)])
    return lost
