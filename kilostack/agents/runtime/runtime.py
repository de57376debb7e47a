"""The agent of one host: keeps a connection to a gateway, feeds the parts, and lives without one, too."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import msgspec

from kilostack.agents.runtime.bulk import GatewayImages, send_console
from kilostack.agents.runtime.journal import Journal, JournalStore
from kilostack.agents.runtime.outbox import Outbox
from kilostack.agents.runtime.session import Host, Session
from kilostack.agents.runtime.streams import Attached, Stream
from kilostack.core.errors import Unavailable
from kilostack.core.world import World
from kilostack.wire import agent
from kilostack.wire.compute import HostFacts
from kilostack.wire.framing import Channel, Closed, Dial

_LOG = logging.getLogger("kilostack.agent")

#: How long a restarted agent waits for word from the control plane before it goes by its journal.
TRUST_JOURNAL_S = 5.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 3.0
_TICKET_S = 20.0


class RuntimeParts(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent is made from. `dials` lead to gateways, tried in turn; `facts` is asked once, before the first
    connection; `console(guest id, lines)` reads what a guest wrote and raises `GuestFault` when there is nothing."""

    world: World
    host: str
    release: str
    dials: Sequence[Dial]
    journal: JournalStore
    facts: Callable[[], Awaitable[HostFacts]]
    console: Callable[[str, int | None], Awaitable[str]]


class AgentRuntime:
    """Make it, `attach` the parts, then `run` it. `images` may be used by drivers that are made before."""

    def __init__(self, parts: RuntimeParts) -> None:
        self._parts, self._world = parts, parts.world
        self._journal = Journal(parts.world, parts.journal, parts.host)
        self._streams: dict[str, Stream] = {}
        self._outboxes: dict[str, Outbox] = {}
        self._facts: HostFacts | None = None
        self._session: Session | None = None
        self._part_tasks: list[asyncio.Task[None]] = []
        self._own_tasks: list[asyncio.Task[None]] = []
        self._turn = 0
        self._is_ending = False
        self.images = GatewayImages(parts.world, self._dial, self._ticket)

    def attach(self, attached: Attached) -> None:
        """Add a part; before `run`."""
        service = attached.part.service
        self._streams[service] = Stream(attached)
        self._outboxes[service] = Outbox(service)

    @property
    def is_connected(self) -> bool:
        """A gateway has taken the connection."""
        return self._session is not None and self._session.is_welcome

    async def run(self) -> None:
        """Run until `end` or `drain`, or until something that may not fail has failed: then that is raised."""
        for service, objects in (await self._journal.read()).items():
            if service in self._streams:
                self._streams[service].load(objects)
        if self._is_ending:
            return
        for service, stream in self._streams.items():
            stream.hand_over()
            work = stream.attached.part.run(self._outboxes[service].put)
            self._part_tasks.append(self._world.spawn(_part(work), f"part {service}"))
        for loop, name in (
            (self._journal.run(), "journal"),
            (self._trust_journal(), "trust"),
            (self._stay_connected(), "connection"),
        ):
            self._own_tasks.append(self._world.spawn(loop, name))
        try:
            ended, _ = await asyncio.wait([*self._part_tasks, *self._own_tasks], return_when=asyncio.FIRST_EXCEPTION)
            for task in ended:
                if not task.cancelled() and (error := task.exception()) is not None:
                    raise error
        finally:
            await self._cancel(self._own_tasks)
            await self._cancel(self._part_tasks)

    async def end(self) -> None:
        """Let go of everything; what runs on the host goes on running. `run` returns."""
        self._is_ending = True
        await self._cancel(self._own_tasks)
        await self._cancel(self._part_tasks)

    async def drain(self) -> None:
        """Stop what runs on the host and remove what the parts made for it. `run` returns."""
        self._is_ending = True
        await self._cancel(self._own_tasks)
        streams = list(self._streams.values())
        await asyncio.gather(*(stream.attached.stop() for stream in streams))
        await self._cancel(self._part_tasks)
        for stream in streams:
            await stream.attached.clear()

    async def _cancel(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _trust_journal(self) -> None:
        """Go by the journal when the control plane says nothing for a while."""
        await self._world.sleep(TRUST_JOURNAL_S)
        for service, stream in self._streams.items():
            if not stream.is_current and stream.objects:
                _LOG.warning("no word from the control plane: %s goes by what the host was told last", service)
                stream.is_current = True
                stream.hand_over()

    # The connection.

    async def _stay_connected(self) -> None:
        self._facts = await self._parts.facts()
        pause = _FIRST_PAUSE_S
        while True:
            if await self._connect_once():
                pause = _FIRST_PAUSE_S
            await self._world.sleep(pause * self._world.random().uniform(0.5, 1.5))
            pause = min(_LONGEST_PAUSE_S, pause * 2)

    async def _connect_once(self) -> bool:
        """One connection from its beginning to its end; whether a gateway took it."""
        try:
            channel = await self._dial()
        except (OSError, Closed) as error:
            _LOG.debug("no gateway answers: %s", error)
            return False
        host = Host(
            world=self._world,
            hello=self._hello,
            streams=self._streams,
            outboxes=self._outboxes,
            applied=self._applied,
            console=self._send_console,
        )
        session = self._session = Session(host, channel)
        try:
            await session.run()
        finally:
            self._session = None
        if session.is_welcome:
            _LOG.info("the connection to the gateway has ended")
        return session.is_welcome

    async def _dial(self) -> Channel:
        """Connect to one of the gateways, another one each time. Raises `OSError`."""
        dial = self._parts.dials[self._turn % len(self._parts.dials)]
        try:
            return await dial()
        except OSError:
            self._turn += 1
            raise

    def _hello(self) -> agent.Hello:
        assert self._facts is not None
        return agent.Hello(
            release=self._parts.release,
            host=self._parts.host,
            facts=self._facts,
            known={service: stream.known for service, stream in self._streams.items()},
        )

    def _applied(self, service: str) -> None:
        self._journal.note(service, self._streams[service].objects)

    async def _send_console(self, asked: agent.ConsoleAsked) -> None:
        await send_console(self._dial, asked, self._parts.console)

    async def _ticket(self, image_id: str) -> str:
        """A ticket for an image; waits a while for a connection. Raises `Unavailable`, `NotFound`."""
        until = self._world.monotonic() + _TICKET_S
        while (session := self._session) is None or not session.is_welcome:
            if self._world.monotonic() > until:
                raise Unavailable("no gateway is connected")
            await self._world.sleep(0.1)
        return await session.ticket(image_id)


async def _part(work: Coroutine[Any, Any, None]) -> None:
    await work
    raise RuntimeError("a part has ended by itself")
