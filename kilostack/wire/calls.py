"""Calls between services: one declaration per operation, the same bytes in one process and across processes.

A service declares its operations here in `wire` (name, params, result), answers them from one table, and is called
through `Calls`. A call may fail with `Unavailable` at any time and may be made again; what it does is idempotent by
(saga, step), and a lower epoch than one seen before is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from kilostack.core import errors
from kilostack.core.context import Context
from kilostack.core.world import World

P = TypeVar("P", bound=msgspec.Struct)
R = TypeVar("R")


class Op(Generic[P, R]):
    """One operation between services; `name` is "<service>.<verb_noun>"."""

    __slots__ = ("decode_params", "decode_result", "name")

    def __init__(self, name: str, params: type[P], result: Any) -> None:
        self.name = name
        self.decode_params: Callable[[bytes], P] = msgspec.json.Decoder(params).decode
        self.decode_result: Callable[[bytes], R] = msgspec.json.Decoder(result).decode


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """On whose behalf, and by which step of which saga (empty outside sagas)."""

    ctx: Context
    saga_id: str = ""
    step: str = ""
    epoch: int = 0


class Nothing(msgspec.Struct, frozen=True):
    """No params, or no result."""


class Calls(Protocol):
    """How one service reaches its neighbours."""

    async def call(self, op: Op[P, R], params: P, actor: Actor) -> R:
        """Raises what the callee raised (by kind), or `Unavailable`."""


Answer = Callable[[Any, Actor], Awaitable[Any]]


class Answers:
    """The internal route table of one service: operation -> handler."""

    def __init__(self) -> None:
        self.table: dict[str, tuple[Op[Any, Any], Answer]] = {}

    def add(self, op: Op[P, R], handler: Callable[[P, Actor], Awaitable[R]]) -> None:
        self.table[op.name] = (op, handler)


class LocalCalls:
    """Calls inside one process. Params and results still pass through bytes, so nothing is shared by accident."""

    def __init__(self, world: World, deadline_s: float = 30.0) -> None:
        self._world, self._deadline_s = world, deadline_s
        self._table: dict[str, tuple[Op[Any, Any], Answer]] = {}

    def serve(self, answers: Answers) -> None:
        self._table.update(answers.table)

    async def call(self, op: Op[P, R], params: P, actor: Actor) -> R:
        declared, handler = self._table[op.name]
        sent = declared.decode_params(msgspec.json.encode(params))
        try:
            async with self._world.timeout(self._deadline_s):
                result = await handler(sent, actor)
        except TimeoutError:
            raise errors.Unavailable(f"{op.name} did not answer within {self._deadline_s:g} s") from None
        except errors.Error as error:
            raise carried(carry(error)) from None
        return op.decode_result(msgspec.json.encode(result))


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An error on its way through a call."""

    error: str
    message: str
    kind: str = ""
    facts: Mapping[str, Any] = {}


def carry(error: errors.Error) -> Failure:
    """The error as bytes can carry it."""
    facts = {key: value for key, value in error.facts.items() if isinstance(value, str | int | float | bool)}
    return Failure(error=type(error).__name__, message=error.message, kind=error.kind, facts=facts)


def carried(failure: Failure) -> errors.Error:
    """The error of the same kind at the caller."""
    kind = getattr(errors, failure.error, errors.Error)
    made: errors.Error = kind(failure.message, kind=failure.kind, **failure.facts)
    return made
