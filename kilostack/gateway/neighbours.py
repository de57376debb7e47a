"""How a gateway calls services: on its own behalf, and again while they are not available."""

from __future__ import annotations

import logging
from typing import TypeVar

import msgspec

from kilostack.core.context import internal
from kilostack.core.errors import Error, Unavailable
from kilostack.core.world import World
from kilostack.wire.calls import Actor, Calls, Op

P = TypeVar("P", bound=msgspec.Struct)
R = TypeVar("R")

_LOG = logging.getLogger("kilostack.gateway")
#: The kind of an error that a service should not have raised.
DEFECT = "defect"
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


class Neighbours:
    """Calls of one gateway."""

    def __init__(self, world: World, calls: Calls) -> None:
        self._world, self._calls = world, calls

    async def once(self, op: Op[P, R], params: P) -> R:
        """One call. Raises what the service raised; what it should never raise becomes `Unavailable`."""
        actor = Actor(ctx=internal(f"req-{self._world.new_id()}"))
        try:
            return await self._calls.call(op, params, actor)
        except Error:
            raise
        except Exception as error:
            _LOG.exception("%s failed", op.name)
            raise Unavailable(f"{op.name} failed: {error}", kind=DEFECT) from error

    async def until_answered(self, op: Op[P, R], params: P, *, defects: int | None = None) -> R:
        """Call until the service is available. Raises its other errors, and `Unavailable` after so many defects."""
        pause, seen = _FIRST_PAUSE_S, 0
        while True:
            try:
                return await self.once(op, params)
            except Unavailable as error:
                _LOG.warning("%s: %s", op.name, error)
                seen += error.kind == DEFECT
                if seen == defects:
                    raise
            await self._world.sleep(pause * self._world.random().uniform(0.5, 1.5))
            pause = min(_LONGEST_PAUSE_S, pause * 2)
