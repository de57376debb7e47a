"""One host's stream of one service: connects, sends what changed, passes reports on until they are accepted."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from kilostack.core.errors import Error, Refused, Unavailable
from kilostack.core.world import World
from kilostack.gateway.follower import Follower
from kilostack.gateway.neighbours import Neighbours
from kilostack.wire import agent
from kilostack.wire.framing import Channel, Closed
from kilostack.wire.hosts import Connect, Connected, Disconnect, HostOps, HostState, HostStateAsked, Reported

_LOG = logging.getLogger("kilostack.gateway")

#: How often host, gateway and service compare what the host should have.
CHECK_S = 600.0
_DISCONNECT_TRIES = 5
#: A report on which a service fails by a defect of its own is given up after so many tries.
_REPORT_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What the lanes of one connection share; `broken` ends that connection."""

    world: World
    neighbours: Neighbours
    channel: Channel
    connect: Connect
    broken: Callable[[str], None]


class Lane:
    """One service's half of a host's connection. `known` is what the host said that it has."""

    def __init__(self, ops: HostOps, follower: Follower, link: Link, known: dict[str, int]) -> None:
        self._ops, self._follower, self._link = ops, follower, link
        self._world, self._neighbours = link.world, link.neighbours
        self._known = dict(known)
        self._host = link.connect.host
        self._host_key = f"host/{self._host}"
        self._connecting: asyncio.Task[Connected | Error] | None = None
        self._dirty = asyncio.Event()
        self._dirty.set()
        self._missed: set[str] | None = None
        self._whole = not known
        self._batches: deque[agent.Reports] = deque()
        self._arrived = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._follower.watch(self, [self._host_key, *self._known])
        self._tasks.append(self._world.spawn(self._run(), f"{self._ops.service} of {self._host}"))

    async def end(self, *, is_replaced: bool) -> None:
        """Stop, and tell the service that the host is gone, unless it has connected anew."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._follower.unwatch(self, [self._host_key, *self._known])
        epoch = await self._last_epoch()
        if epoch is None or is_replaced:
            return
        for _ in range(_DISCONNECT_TRIES):
            try:
                await self._neighbours.once(self._ops.disconnect, Disconnect(self._host, epoch))
                return
            except Unavailable:
                await self._world.sleep(1.0)
            except Error as error:
                _LOG.info("%s had gone on without this connection: %s", self._ops.service, error)
                return

    async def _last_epoch(self) -> int | None:
        """The epoch of this lane, also when it was cut off while connecting."""
        if self._connecting is None:
            return None
        answer = await self._connecting
        return answer.epoch if isinstance(answer, Connected) else None

    async def _connect(self) -> int:
        """Connect until the service is available. Each try is a task of its own, which ends whatever happens here: a
        connection that was made has to be ended, too."""
        pause = 0.1
        while True:
            self._connecting = self._world.spawn(self._try_to_connect(), f"connect {self._host}")
            await asyncio.wait([self._connecting])
            answer = self._connecting.result()
            if isinstance(answer, Connected):
                return answer.epoch
            if not isinstance(answer, Unavailable):
                raise answer
            _LOG.warning("%s: %s", self._ops.connect.name, answer)
            await self._world.sleep(pause * self._world.random().uniform(0.5, 1.5))
            pause = min(5.0, pause * 2)

    async def _try_to_connect(self) -> Connected | Error:
        try:
            return await self._neighbours.once(self._ops.connect, self._link.connect)
        except Error as error:
            return error

    def named(self, keys: Iterable[str] | None) -> None:
        if self._missed is None:
            self._dirty.set()
        elif keys is None:
            self._missed.add(self._host_key)
        else:
            self._missed.update(keys)

    def resend(self) -> None:
        """The host asks for everything."""
        self._whole = True
        self._dirty.set()

    def reported(self, batch: agent.Reports) -> None:
        self._batches.append(batch)
        self._arrived.set()

    async def _run(self) -> None:
        try:
            epoch = await self._connect()
            self._tasks.append(self._world.spawn(self._pass_reports(epoch), f"reports of {self._host}"))
            await self._send_states()
        except Closed:
            self._link.broken("the connection was lost")
        except Error as error:
            self._link.broken(f"{self._ops.service} refuses: {error}")

    # Desired state, towards the host.

    async def _send_states(self) -> None:
        first = True
        check_at = self._world.monotonic() + CHECK_S
        while True:
            if not await self._woken(check_at):
                await self._check()
                check_at = self._world.monotonic() + CHECK_S
                continue
            whole, self._whole = self._whole, False
            state = await self._ask({} if whole else self._known)
            if first or whole or state.changed or state.removed:
                await self._send(state, whole=whole)
            first = False

    async def _woken(self, check_at: float) -> bool:
        """Wait until there may be something new; False when it is time to compare."""
        try:
            async with self._world.timeout(max(0.0, check_at - self._world.monotonic())):
                await self._dirty.wait()
        except TimeoutError:
            return False
        self._dirty.clear()
        return True

    async def _ask(self, known: dict[str, int]) -> HostState:
        """What differs from `known`. From here on a change of any key in the answer is noticed."""
        self._missed = set()
        self._follower.asking(self, begins=True)
        try:
            asked = HostStateAsked(host=self._host, known=known)
            state = await self._neighbours.until_answered(self._ops.state, asked)
        finally:
            missed, self._missed = self._missed, None
            self._follower.asking(self, begins=False)
        now = {**known, **state.revisions}
        for key in state.removed:
            now.pop(key, None)
        self._follower.unwatch(self, self._known.keys() - now.keys())
        self._follower.watch(self, now)
        if missed & {self._host_key, *now, *self._known}:
            self._dirty.set()
        self._known = now
        return state

    async def _send(self, state: HostState, *, whole: bool) -> None:
        message = agent.State(
            service=self._ops.service,
            changed=state.changed,
            revisions=state.revisions,
            removed=state.removed,
            whole=whole,
        )
        await self._link.channel.send(agent.write(message))

    async def _check(self) -> None:
        """Let the host compare what it has with what the service says now; what was missed is found and sent."""
        before = self._known
        state = await self._ask({})
        if before != self._known:
            _LOG.warning("changes of %s for host %s had not been noticed yet", self._ops.service, self._host)
            await self._send(state, whole=True)
        objects = {key: (state.revisions[key], bytes(raw)) for key, raw in state.changed.items()}
        digest = await self._world.in_thread(agent.digest, objects)
        await self._link.channel.send(agent.write(agent.Check(service=self._ops.service, digest=digest)))

    # Reports, towards the service.

    async def _pass_reports(self, epoch: int) -> None:
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while self._batches:
                    batch = self._batches.popleft()
                    await self._deliver(batch.reports, epoch)
                    accepted = agent.Accepted(service=self._ops.service, number=batch.number)
                    await self._link.channel.send(agent.write(accepted))
        except Closed:
            self._link.broken("the connection was lost")
        except Refused as error:
            self._link.broken(str(error))

    async def _deliver(self, reports: tuple[msgspec.Raw, ...], epoch: int) -> None:
        """Until the service has taken them all. One that it cannot take for its own reasons is left out, loudly.

        Raises `Refused` when the host has a newer connection.
        """
        params = Reported(host=self._host, epoch=epoch, reports=reports)
        try:
            await self._neighbours.until_answered(self._ops.report, params, defects=_REPORT_TRIES)
        except Refused:
            raise
        except Error as error:
            if len(reports) == 1:
                _LOG.error("%s does not take a report: %s: %r", self._ops.service, error, bytes(reports[0])[:500])
                return
            for report in reports:
                await self._deliver((report,), epoch)
