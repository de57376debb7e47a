"""Make servers: everything that can be refused is refused here, before anything is written."""

from __future__ import annotations

import msgspec

from kilostack.compute.app.parts import Parts, actor, check, is_admin
from kilostack.compute.app.server_fit import check_fit, check_single
from kilostack.compute.model.naming import numbered, numbered_hostname
from kilostack.compute.model.records import Flavor, Keypair
from kilostack.compute.model.server import FlavorFacts, Server
from kilostack.compute.store import actions, flavors, quotas, servers, zones
from kilostack.compute.store.tables import FLAVORS, HOSTS, KEYPAIRS
from kilostack.compute.workflows.params import CreateParams
from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, NotFound, OverQuota
from kilostack.core.world import Micros
from kilostack.store.database import Tx
from kilostack.wire.image_calls import GET_IMAGE, ImageAsked, ImageFacts
from kilostack.wire.network_calls import CHECK_NICS, CheckedNics, CheckNics, WantedNic

MOST_AT_ONCE = 1000
_SAGA = "server_create"


class NewServer(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks for; `nics` None is the network that the project can use."""

    name: str
    image_id: str
    flavor_id: str
    nics: tuple[WantedNic, ...] | None
    security_groups: tuple[str, ...] = ()
    key_name: str | None = None
    #: base64
    user_data: str | None = None
    metadata: dict[str, str] = {}
    #: "zone", or "zone:host" of an administrator
    zone: str | None = None
    #: only there; an administrator's wish
    host: str | None = None
    least: int = 1
    most: int = 1
    description: str | None = None
    hostname: str | None = None
    tags: tuple[str, ...] = ()
    disk_config: str = "MANUAL"
    access_ip_v4: str = ""
    access_ip_v6: str = ""


class _Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a request has come to once nothing speaks against it."""

    wanted: NewServer
    zone: str | None
    host: str | None
    flavor: Flavor
    keypair: Keypair | None
    image: ImageFacts
    nics: CheckedNics


class ServerCreate:
    """Makes the records of servers and starts their sagas."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def create(self, ctx: Context, wanted: NewServer) -> list[Server]:
        """Between `least` and `most` servers, as many as the quota leaves room for.

        Raises `BadRequest`, `Forbidden`, `OverQuota`, `Conflict` (network's), `Unavailable`.
        """
        parts = self._parts
        check(parts, ctx, "servers:create")
        if wanted.nics:
            check(parts, ctx, "servers:create:attach_network")
        check_single(wanted.hostname, wanted.nics, wanted.most)
        checked = await self._checked(ctx, wanted)
        now = parts.world.now()
        reservation = "r-" + parts.world.new_id()[:8]
        made = [self._server(ctx, checked, (index, reservation), now) for index in range(wanted.most)]
        kind = parts.kinds[_SAGA]

        async def unit(tx: Tx) -> list[Server]:
            size = {"cores": checked.flavor.vcpus, "memory_mib": checked.flavor.memory_mib}
            room = await quotas.room(tx, ctx.project_id, wanted=wanted.most, **size)
            chosen = made[: max(room, wanted.least)]
            await servers.insert(tx, chosen)
            for server in chosen:
                await actions.begin(tx, ctx, server.id, "create", now)
                assert server.saga_id is not None
                params = CreateParams(server_id=server.id, host=checked.host)
                await parts.sagas.enqueue(tx, kind, (server.saga_id, server.id), params, (ctx, now))
            return chosen

        return await parts.db.write(unit)

    async def _checked(self, ctx: Context, wanted: NewServer) -> _Checked:
        zone, host = await self._destination(ctx, wanted)

        async def look(tx: Tx) -> tuple[Flavor, Keypair | None]:
            usage = await quotas.usage(tx, ctx.project_id)
            bound = quotas.limit(usage, "metadata_items")
            if 0 <= bound < len(wanted.metadata):
                raise OverQuota(f"Maximum number of metadata items exceeds {bound}")
            return await self._flavor(tx, ctx, wanted.flavor_id), await _keypair(tx, ctx, wanted.key_name)

        try:
            image = await self._parts.calls.call(GET_IMAGE, ImageAsked(wanted.image_id), actor(ctx))
        except NotFound:
            raise BadRequest("Can not find requested image") from None
        flavor, keypair = await self._parts.db.read(look)
        if flavor.disk_gib == 0:
            check(self._parts, ctx, "servers:create:zero_disk_flavor")
        check_fit(image, flavor)
        asked = CheckNics(
            project_id=ctx.project_id,
            nics=wanted.nics,
            security_groups=wanted.security_groups,
            servers=wanted.most,
        )
        try:
            nics = await self._parts.calls.call(CHECK_NICS, asked, actor(ctx))
        except NotFound as error:
            raise BadRequest(error.message) from None
        return _Checked(wanted=wanted, zone=zone, host=host, flavor=flavor, keypair=keypair, image=image, nics=nics)

    async def _flavor(self, tx: Tx, ctx: Context, flavor_id: str) -> Flavor:
        flavor = await FLAVORS.find(tx, id=flavor_id)
        allowed = flavor is not None and (
            flavor.public or is_admin(self._parts, ctx) or ctx.project_id in await flavors.access(tx, flavor_id)
        )
        if flavor is None or flavor.disabled or not allowed:
            raise BadRequest(f"Flavor {flavor_id[:64]} could not be found.", field="flavorRef")
        return flavor

    async def _destination(self, ctx: Context, wanted: NewServer) -> tuple[str | None, str | None]:
        """The zone and the host asked for, if they are there and the caller may ask for them."""
        zone, host = wanted.zone, wanted.host
        if host is not None:
            self._parts.policy.check(ctx, "compute:servers:create:requested_destination")
        if zone is not None and ":" in zone:
            zone, _, forced = zone.partition(":")
            forced, _, node = forced.partition(":")
            if host is not None:
                raise BadRequest("A host is asked for by zone:host and by host: use one of them.")
            check(self._parts, ctx, "servers:create:forced_host")
            host = forced or node
        known = await self._parts.db.read(zones.known)
        if zone and zone not in known:
            raise BadRequest("The requested availability zone is not available", field="availability_zone")
        if host is not None:
            name = host
            found = await self._parts.db.read(lambda tx: HOSTS.find(tx, name=name))
            if found is None:
                raise BadRequest(f"Compute host {host} could not be found.")
            # the host decides, as upstream has it
            zone = zone if zone == found.zone else None
        return zone or None, host

    def _server(self, ctx: Context, checked: _Checked, place: tuple[int, str], now: Micros) -> Server:
        wanted, (index, reservation) = checked.wanted, place
        server_id = self._parts.world.new_id()
        flavor = checked.flavor
        key = checked.keypair
        label = wanted.hostname or numbered_hostname(wanted.name, server_id, index, wanted.most)
        return Server(
            id=server_id,
            project_id=ctx.project_id,
            user_id=ctx.user_id,
            name=numbered(wanted.name, index, wanted.most),
            hostname=label,
            description=wanted.description,
            flavor=FlavorFacts(
                id=flavor.id,
                name=flavor.name,
                vcpus=flavor.vcpus,
                memory_mib=flavor.memory_mib,
                disk_gib=flavor.disk_gib,
                ephemeral_gib=flavor.ephemeral_gib,
                swap_mib=flavor.swap_mib,
                extra_specs=flavor.extra_specs,
            ),
            image_id=checked.image.id,
            image_properties=checked.image.properties,
            key_name=wanted.key_name,
            keys={} if key is None else {key.name: key.public_key},
            user_data=wanted.user_data,
            metadata=wanted.metadata,
            saga_id=self._parts.world.new_id(),
            wanted_zone=checked.zone,
            created_at=now,
            updated_at=now,
            reservation_id=reservation,
            launch_index=index,
            nics=checked.nics.nics,
            wanted_groups=checked.nics.security_groups,
            disk_config=wanted.disk_config,
            access_ip_v4=wanted.access_ip_v4,
            access_ip_v6=wanted.access_ip_v6,
            tags=wanted.tags,
        )


async def _keypair(tx: Tx, ctx: Context, name: str | None) -> Keypair | None:
    if name is None:
        return None
    if (found := await KEYPAIRS.find(tx, user_id=ctx.user_id, name=name)) is None:
        raise BadRequest("Invalid key_name provided.", field="key_name")
    return found
