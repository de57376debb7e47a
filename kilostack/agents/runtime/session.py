"""One connection of an agent to a gateway, from hello to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec

from kilostack.agents.runtime.outbox import Outbox
from kilostack.agents.runtime.streams import Stream
from kilostack.core.errors import NotFound, Unavailable
from kilostack.core.world import World
from kilostack.wire import agent
from kilostack.wire.framing import Channel, Closed

_LOG = logging.getLogger("kilostack.agent")

#: The gateway pings more often than this.
SILENCE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What a session works on; it outlives sessions. `applied` is told of each change of a stream; `console` sends
    what a console request asks for."""

    world: World
    hello: Callable[[], agent.Hello]
    streams: Mapping[str, Stream]
    outboxes: Mapping[str, Outbox]
    applied: Callable[[str], None]
    console: Callable[[agent.ConsoleAsked], Awaitable[None]]


class Session:
    """`is_welcome` once the gateway has taken the connection."""

    def __init__(self, host: Host, channel: Channel) -> None:
        self._host, self._world, self._channel = host, host.world, channel
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._tickets: dict[int, asyncio.Future[agent.Ticket]] = {}
        self._number = 0
        self.is_welcome = False

    async def run(self) -> None:
        """Serve the connection until it ends."""
        try:
            for outbox in self._host.outboxes.values():
                outbox.restart()
            await self._send(self._host.hello())
            for service, stream in self._host.streams.items():
                for report in stream.attached.part.reports():
                    self._host.outboxes[service].put(report)
                self._beside(self._report(self._host.outboxes[service]), f"reports for {service}")
            await self._read()
        except Closed:
            pass
        finally:
            self._channel.close()
            for task in list(self._tasks):
                task.cancel()
            for future in self._tickets.values():
                if not future.done():
                    future.set_exception(Unavailable("the connection to the gateway was lost"))

    async def ticket(self, image_id: str) -> str:
        """A ticket for the bytes of an image. Raises `NotFound`, `Unavailable`."""
        self._number += 1
        number = self._number
        future: asyncio.Future[agent.Ticket] = asyncio.get_running_loop().create_future()
        self._tickets[number] = future
        try:
            async with self._world.timeout(SILENCE_S):
                await self._send(agent.TicketAsked(number=number, image_id=image_id))
                answer = await future
        except (Closed, TimeoutError):
            raise Unavailable("the gateway does not answer") from None
        finally:
            self._tickets.pop(number, None)
        if answer.fault is not None:
            raise NotFound(answer.fault)
        return answer.ticket

    async def _send(self, message: agent.Hello | agent.FromAgent) -> None:
        await self._channel.send(agent.write(message))

    def _beside(self, work: Awaitable[None], name: str) -> None:
        task = self._world.spawn(self._quietly(work), name)
        self._tasks[task] = None
        task.add_done_callback(lambda ended: self._tasks.pop(ended, None))

    async def _quietly(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Closed:
            self._channel.close()

    async def _report(self, outbox: Outbox) -> None:
        while True:
            await self._send(await outbox.next_batch())

    async def _read(self) -> None:
        while True:
            try:
                async with self._world.timeout(SILENCE_S):
                    frame = await self._channel.receive()
            except TimeoutError:
                _LOG.warning("nothing was heard from the gateway for %g s", SILENCE_S)
                return
            if frame is None:
                return
            try:
                message = agent.read_from_gateway(frame)
            except msgspec.DecodeError as error:
                _LOG.warning("the gateway says what is not understood here: %s", error)
                continue
            if isinstance(message, agent.Refusal):
                _LOG.error("the gateway refuses this host: %s", message.reason)
                return
            await self._heard(message)

    async def _heard(self, message: agent.FromGateway) -> None:
        match message:
            case agent.Welcome():
                self.is_welcome = True
            case agent.State():
                if (stream := self._host.streams.get(message.service)) is not None:
                    stream.apply(message)
                    self._host.applied(message.service)
            case agent.Accepted():
                if (outbox := self._host.outboxes.get(message.service)) is not None:
                    outbox.accepted(message.number)
            case agent.Check():
                await self._check(message)
            case agent.Ping():
                await self._send(agent.Pong())
            case agent.Ticket():
                future = self._tickets.get(message.number)
                if future is not None and not future.done():
                    future.set_result(message)
            case agent.ConsoleAsked():
                self._beside(self._host.console(message), "console")

    async def _check(self, check: agent.Check) -> None:
        """Compare what is here with what should be."""
        stream = self._host.streams.get(check.service)
        if stream is None:
            return
        mine = await self._world.in_thread(agent.digest, dict(stream.objects))
        if mine != check.digest:
            _LOG.error("the desired state of %s is not what it should be", check.service)
            await self._send(agent.Resend(check.service))
