"""The control connection of one host."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from kilostack.core.errors import Error
from kilostack.core.world import World
from kilostack.gateway.lane import Lane
from kilostack.wire import agent
from kilostack.wire.framing import Channel, Closed

_LOG = logging.getLogger("kilostack.gateway")

PING_S = 5.0
#: A host from which nothing came for so long is taken for gone.
SILENCE_S = 20.0


class Connection:
    """Reads what a host says until it is gone. `lanes` is filled before `run`."""

    def __init__(
        self,
        world: World,
        channel: Channel,
        host: str,
        ticket_for: Callable[[str, str], Awaitable[str]],
    ) -> None:
        self._world, self._channel, self.host = world, channel, host
        self._ticket_for = ticket_for
        self.lanes: Mapping[str, Lane] = {}
        self.is_replaced = False
        self._is_closed = False
        self._side_work: dict[asyncio.Task[None], None] = {}
        self.ended = asyncio.Event()

    def close(self, reason: str) -> None:
        """End the connection; `run` returns soon after."""
        if not self._is_closed:
            self._is_closed = True
            _LOG.info("connection of host %s ends: %s", self.host, reason)
            self._channel.close()

    async def send(self, message: agent.FromGateway) -> None:
        """Raises `Closed`."""
        await self._channel.send(agent.write(message))

    async def run(self, welcome: agent.Welcome) -> None:
        """Serve the connection until it ends, and end its lanes."""
        try:
            if not self._is_closed:
                await self.send(welcome)
                for lane in self.lanes.values():
                    lane.start()
                self._beside(self._ping(), "ping")
                await self._read()
        except Closed:
            self.close("the connection was lost")
        finally:
            self._is_closed = True
            self._channel.close()
            for task in list(self._side_work):
                task.cancel()
            try:
                await asyncio.gather(*(lane.end(is_replaced=self.is_replaced) for lane in self.lanes.values()))
            finally:
                self.ended.set()

    def _beside(self, work: Awaitable[None], name: str) -> None:
        task = self._world.spawn(self._quietly(work), f"{name} of {self.host}")
        self._side_work[task] = None
        task.add_done_callback(lambda ended: self._side_work.pop(ended, None))

    async def _quietly(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Closed:
            self.close("the connection was lost")

    async def _ping(self) -> None:
        while True:
            await self._world.sleep(PING_S)
            await self.send(agent.Ping())

    async def _read(self) -> None:
        while True:
            try:
                async with self._world.timeout(SILENCE_S):
                    frame = await self._channel.receive()
            except TimeoutError:
                self.close(f"nothing was heard for {SILENCE_S:g} s")
                return
            if frame is None:
                self.close("the agent is gone")
                return
            try:
                message = agent.read_from_agent(frame)
            except msgspec.DecodeError as error:
                _LOG.warning("host %s says what is not understood here: %s", self.host, error)
                continue
            self._heard(message)

    def _heard(self, message: agent.FromAgent) -> None:
        match message:
            case agent.Reports():
                if (lane := self.lanes.get(message.service)) is not None:
                    lane.reported(message)
            case agent.Resend():
                _LOG.error("host %s had a wrong state of %s", self.host, message.service)
                if (lane := self.lanes.get(message.service)) is not None:
                    lane.resend()
            case agent.TicketAsked():
                self._beside(self._give_ticket(message), "ticket")
            case agent.Pong():
                pass

    async def _give_ticket(self, asked: agent.TicketAsked) -> None:
        try:
            ticket = await self._ticket_for(self.host, asked.image_id)
        except Error as error:
            await self.send(agent.Ticket(number=asked.number, fault=error.message))
        else:
            await self.send(agent.Ticket(number=asked.number, ticket=ticket))
