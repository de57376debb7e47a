"""What a saga is: named steps with do and undo, fixed at its start.

A step is either a call to somebody else (`do`, logged after it returned) or a write of this service (`write`, in the
same transaction as its log entry). Both may run more than once; their undo may too, also when the do never ran. Steps
get their inputs from the params and from the outputs of earlier steps, so a resumed saga and a fresh one take the same
path.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import msgspec

from kilostack.core import errors
from kilostack.core.context import Context
from kilostack.core.world import Micros
from kilostack.store.database import Tx
from kilostack.wire.calls import Actor

#: errors that trying again cannot cure
FINAL = (errors.Refused, errors.NotFound, errors.BadRequest, errors.Forbidden, errors.Conflict)

Outcome = Literal["done", "unwound"]


class Wait(Exception):
    """A step cannot go on yet, and nothing is wrong: look again when woken, or after `seconds`."""

    def __init__(self, seconds: float, reason: str) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One saga as its steps see it."""

    saga_id: str
    resource_id: str
    #: an instance of the kind's params
    params: Any
    #: step name -> what it returned, for the steps done so far
    outputs: Mapping[str, Any]
    ctx: Context
    epoch: int
    #: the step under way
    step: str = ""
    #: why the saga unwinds; "" while it goes forward
    error: str = ""
    #: a newer saga took the resource over; it will show the outcome
    cancelled: bool = False
    #: when this turn of the saga started
    now: Micros = Micros(0)

    def actor(self) -> Actor:
        """Who calls a neighbour: do and undo of one step carry the same name, so that an undo can bury its do."""
        return Actor(ctx=self.ctx, saga_id=self.saga_id, step=self.step, epoch=self.epoch)


Do = Callable[[Any, Run], Awaitable[Any]]
Write = Callable[[Tx, Any, Run], Awaitable[Any]]
End = Callable[[Tx, Any, Run, Outcome], Awaitable[None]]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a saga: exactly one of `do` and `write`; at most one of `undo` and `unwrite`.

    The first argument of each is the service's `deps` (its ports); results must be JSON.
    """

    name: str
    do: Do | None = None
    write: Write | None = None
    undo: Do | None = None
    unwrite: Write | None = None
    #: what the resource shows as its task while the step is under way
    task_state: str | None = None


class Saga(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of long work. `ended` is written in the transaction that ends it."""

    name: str
    steps: tuple[Step, ...]
    params: type[msgspec.Struct]
    ended: End
    version: int = 1
    #: seconds during which failing steps are tried again before the saga unwinds
    deadline_s: float = 600.0
    #: what the resource shows while the saga unwinds; None keeps what the last step showed
    unwinding_task_state: str | None = None

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)
