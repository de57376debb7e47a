"""A process that is a host's network agent: `python host_agent.py` with its settings as JSON on standard input."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec
import uvloop

from kilostack.agents.network.part import NetworkPart
from kilostack.core.world import RealWorld
from kilostack.drivers.net.linux import HostNetwork, LinuxNetworks
from kilostack.wire.compute import Guest
from kilostack.wire.network import Fabric, Group, Network, Port, Router

KINDS = {"network": Network, "port": Port, "group": Group, "router": Router, "fabric": Fabric}


async def main() -> None:
    told = json.loads(sys.stdin.readline())
    settings = HostNetwork(**{**told["settings"], "run_dir": Path(told["settings"]["run_dir"])})
    objects = {key: msgspec.convert(item, KINDS[key.partition("/")[0]]) for key, item in told["objects"].items()}
    guests = {item["id"]: msgspec.convert(item, Guest) for item in told["guests"]}
    world = RealWorld()
    part = NetworkPart(world, LinuxNetworks(world, settings), guests.get)
    part.changed(objects, True)
    await part.run(lambda report: print(report.id, report.state, flush=True))


if __name__ == "__main__":
    uvloop.run(main())
