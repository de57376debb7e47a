"""Make a server: claim a host for its image and flavor, bind its ports, desire its guest.

The saga ends when the desired guest is recorded; from there the host makes it so, and its report turns BUILD into
ACTIVE.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from kilostack.compute.model.records import Decision, Host
from kilostack.compute.model.server import Fault, Server, ServerEvent
from kilostack.compute.scheduler.request import Request
from kilostack.compute.store import actions, guests, servers
from kilostack.compute.store.tables import DECISIONS, HOSTS, SERVERS
from kilostack.compute.workflows.deps import Deps, resources
from kilostack.compute.workflows.params import CreateParams
from kilostack.core.errors import Refused
from kilostack.core.world import Micros
from kilostack.store.database import Tx
from kilostack.wire.compute import Guest, ImageRef, Metadata, Nic
from kilostack.wire.image_calls import GET_IMAGE, ImageAsked, ImageFacts
from kilostack.wire.network import tap_name
from kilostack.wire.network_calls import (
    ADDRESSES,
    BIND_PORTS,
    UNBIND_PORTS,
    AddressesAsked,
    BindPorts,
    BoundPorts,
    ServerNetworking,
    ServerPorts,
)
from kilostack.wire.placement_calls import RELEASE, Consumer
from kilostack.workflow.saga import Outcome, Run, Saga, Step, Wait

#: after a restart of the control plane hosts are away for a moment: that is no reason to fail
_HOSTS_COME_BACK_S = 15.0
_LOOK_AGAIN_S = 0.25


async def _server(deps: Deps, run: Run) -> Server:
    return await deps.db.read(lambda tx: SERVERS.get(tx, id=run.resource_id))


async def _find_image(deps: Deps, run: Run, image_id: str) -> ImageFacts:
    """The image as it is now: it may have gone since the request was taken."""
    facts = await deps.calls.call(GET_IMAGE, ImageAsked(image_id), run.actor())
    if facts.status != "active":
        raise Refused(f"Image {image_id} is not active any more.")
    return facts


async def allocate(deps: Deps, run: Run) -> Any:
    server = await _server(deps, run)
    image = await _find_image(deps, run, server.image_id)
    request = Request(
        consumer=server.id,
        resources=resources(server),
        project_id=server.project_id,
        user_id=server.user_id,
        zone=server.wanted_zone,
        host=run.params.host,
    )
    try:
        chosen = await deps.chooser.place(request, run.actor(), zlib.crc32(run.saga_id.encode()))
    except Refused as error:
        if error.facts.get("only_connection_missing") and run.now - server.created_at < _HOSTS_COME_BACK_S * 1e6:
            raise Wait(_LOOK_AGAIN_S, "no host is connected") from error
        record = error.facts.get("record")
        if record is not None:
            decision = _decision(run, error.message, None, record)
            await deps.db.write(lambda tx: _insert_once(tx, decision))
        raise
    return {"image": msgspec.to_builtins(image), **msgspec.to_builtins(chosen)}


def _decision(run: Run, outcome: str, host: str | None, record: dict[str, Any]) -> Decision:
    return Decision(
        server_id=run.resource_id, saga_id=run.saga_id, at=run.now, outcome=outcome[:1000], host=host, record=record
    )


async def _insert_once(tx: Tx, decision: Decision) -> None:
    key = {"server_id": decision.server_id, "saga_id": decision.saga_id, "at": decision.at}
    if await DECISIONS.find(tx, **key) is None:
        await DECISIONS.insert(tx, decision)


async def release(deps: Deps, run: Run) -> None:
    await deps.calls.call(RELEASE, Consumer(run.resource_id), run.actor())


async def bind_ports(deps: Deps, run: Run) -> Any:
    server = await _server(deps, run)
    asked = BindPorts(
        server_id=server.id,
        hostname=server.hostname,
        project_id=server.project_id,
        host=run.outputs["allocate"]["host"],
        availability_zone=server.wanted_zone or "nova",
        nics=server.nics,
        security_groups=server.wanted_groups,
    )
    bound = await deps.calls.call(BIND_PORTS, asked, run.actor())
    shown = await deps.calls.call(ADDRESSES, AddressesAsked((server.id,)), run.actor())
    networking = shown.get(server.id, ServerNetworking())
    return {"bound": msgspec.to_builtins(bound), "networking": msgspec.to_builtins(networking)}


async def unbind_ports(deps: Deps, run: Run) -> None:
    await deps.calls.call(UNBIND_PORTS, ServerPorts(run.resource_id), run.actor())


async def place_guest(tx: Tx, deps: Deps, run: Run) -> None:
    server = await SERVERS.get(tx, id=run.resource_id)
    chosen = run.outputs["allocate"]
    host = await HOSTS.get(tx, name=chosen["host"])
    networking = msgspec.convert(run.outputs["bind_ports"]["networking"], ServerNetworking)
    guest = _guest(server, host, run, networking)
    await guests.place(tx, host.name, guest, run.now)
    await DECISIONS.insert(tx, _decision(run, f"placed on {host.name}", host.name, chosen["record"]))


def _guest(server: Server, host: Host, run: Run, networking: ServerNetworking) -> Guest:
    image = msgspec.convert(run.outputs["allocate"]["image"], ImageFacts)
    bound = msgspec.convert(run.outputs["bind_ports"]["bound"], BoundPorts)
    nics = tuple(
        Nic(port_id=port.port_id, network_id=port.network_id, mac=port.mac, tap=tap_name(port.port_id), mtu=port.mtu)
        for port in bound.ports
    )
    metadata = Metadata(
        hostname=server.hostname,
        name=server.name,
        project_id=server.project_id,
        user_id=server.user_id,
        availability_zone=host.zone,
        launch_index=server.launch_index,
        reservation_id=server.reservation_id,
        flavor=server.flavor.name,
        keys=server.keys,
        user_data=server.user_data,
        meta=server.metadata,
        security_groups=networking.security_groups,
    )
    return Guest(
        id=server.id,
        generation=1,
        name=server.name,
        vcpus=server.flavor.vcpus,
        memory_mib=server.flavor.memory_mib,
        disk_gib=server.flavor.disk_gib,
        image=ImageRef(
            id=image.id,
            disk_format="qcow2" if image.disk_format == "qcow2" else "raw",
            size_bytes=image.size_bytes,
            sha512=image.sha512,
        ),
        nics=nics,
        power="on",
        boot=1,
        metadata=metadata,
    )


async def ended(tx: Tx, deps: Deps, run: Run, outcome: Outcome) -> None:
    if run.cancelled:
        await actions.finish(tx, run.resource_id, run.ctx.request_id, run.now, "The server was deleted meanwhile.")
        return
    server = await SERVERS.get(tx, id=run.resource_id)
    if outcome == "done":
        networking = msgspec.convert(run.outputs["bind_ports"]["networking"], ServerNetworking)
        # the follower of network's feed may have been here before, with something newer
        shown = server.networking if server.networking.addresses else networking
        fields = {"host": run.outputs["allocate"]["host"], "networking": shown}
        # the host's report clears the task and finishes the action
        await servers.change(tx, server, run.now, saga_id=None, task_state="spawning", **fields)
        return
    await servers.change(tx, server, run.now, saga_id=None, task_state=None, **failed(server, run.error, run.now))
    await actions.finish(tx, server.id, run.ctx.request_id, run.now, run.error)


def failed(server: Server, reason: str, now: Micros) -> dict[str, Any]:
    """The fields of a server whose making came to nothing."""
    fault = Fault(code=500, message=reason, created_at=now)
    return {"state": server.after(ServerEvent.BUILD_FAILED), "fault": fault, "host": None}


SAGA = Saga(
    name="server_create",
    params=CreateParams,
    ended=ended,
    steps=(
        Step(name="allocate", do=allocate, undo=release, task_state="scheduling"),
        Step(name="bind_ports", do=bind_ports, undo=unbind_ports, task_state="networking"),
        Step(name="place_guest", write=place_guest, task_state="spawning"),
    ),
)
