"""What other services ask of compute."""

from __future__ import annotations

import msgspec

from kilostack.wire.calls import Op


class Servers(msgspec.Struct, frozen=True):
    ids: tuple[str, ...]


#: those of the ids that are servers, or are still being made or removed by a saga
EXISTING: Op[Servers, Servers] = Op("compute.existing_servers", Servers, Servers)
