"""What the owner changes in a server's record reaches what its guest may read of itself."""

from __future__ import annotations

from pathlib import Path

import msgspec

from kilostack.compute.app.server_create import NewServer, ServerCreate
from kilostack.compute.app.servers import Servers
from kilostack.compute.model.records import Placed
from kilostack.compute.store import guests
from kilostack.compute.store.tables import GUESTS, META
from kilostack.core.world import Micros, RealWorld
from kilostack.wire.compute import Guest, ImageRef, Metadata
from tests.compute import stand_ins
from tests.databases import silent, sqlite_database
from tests.http.cloud import PERSONAS

_MEMBER = msgspec.structs.replace(PERSONAS["member"], request_id="req-1")
_NOW = Micros(stand_ins.NOW)


def _guest(server_id: str) -> Guest:
    return Guest(
        id=server_id,
        generation=1,
        name="n",
        vcpus=1,
        memory_mib=1,
        disk_gib=1,
        image=ImageRef(id="i", disk_format="raw", size_bytes=1, sha512=""),
        nics=(),
        power="on",
        boot=1,
        metadata=Metadata(hostname="n", name="n", project_id="p", user_id="u", availability_zone="nova"),
    )


async def test_metadata_and_names_are_told_and_nothing_else(tmp_path: Path, world: RealWorld) -> None:
    db = await sqlite_database(tmp_path / "c.db", world, silent, META, 1)
    await stand_ins.seed(db)
    parts = stand_ins.make_parts(db, world, stand_ins.Neighbours())
    wanted = NewServer(name="n", image_id=stand_ins.IMAGE, flavor_id="1", nics=None)
    (server,) = await ServerCreate(parts).create(_MEMBER, wanted)
    servers = Servers(parts)
    # before the guest is placed there is nobody to tell
    await servers.set_metadata(_MEMBER, server.id, "create", {"a": "1"}, replace=False)
    await db.write(lambda tx: guests.place(tx, "h1", _guest(server.id), _NOW))

    async def placed() -> Placed:
        return await db.read(lambda tx: GUESTS.get(tx, server_id=server.id))

    await servers.set_metadata(_MEMBER, server.id, "create", {"b": "2"}, replace=False)
    assert ((await placed()).guest.metadata.meta, (await placed()).revision) == ({"a": "1", "b": "2"}, 2)
    await servers.edit(_MEMBER, server.id, "servers:update", lambda server: {"name": "new"})
    now = await placed()
    assert (now.guest.metadata.name, now.revision, now.guest.generation, now.guest.boot) == ("new", 3, 3, 1)
    await servers.lock(_MEMBER, server.id, None)
    assert (await placed()).revision == 3
    await db.write(lambda tx: guests.withdraw(tx, now, _NOW))
    await servers.edit(_MEMBER, server.id, "servers:update", lambda server: {"name": "late"}, guarded=False)
    assert (await placed()).revision == 4
    await db.close()
