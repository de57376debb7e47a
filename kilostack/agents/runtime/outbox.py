"""Reports that have not arrived yet: the newest of each thing, kept until the gateway says that it is committed."""

from __future__ import annotations

import asyncio

import msgspec

from kilostack.wire.agent import Report, Reports, report_json, report_key

_BATCH = 100


class Outbox:
    """The reports for one service."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._waiting: dict[str, tuple[int, msgspec.Raw]] = {}
        self._count = 0
        self._sent: dict[str, int] = {}
        self._number = 0
        self._changed = asyncio.Event()

    def put(self, report: Report) -> None:
        """Have this report sent, in place of an older one about the same thing."""
        key = report_key(report)
        self._count += 1
        self._waiting.pop(key, None)
        self._waiting[key] = (self._count, report_json(report))
        self._changed.set()

    def restart(self) -> None:
        """A new connection: what was on its way may be lost."""
        self._sent = {}
        self._changed.set()

    async def next_batch(self) -> Reports:
        """Wait until no batch is on its way and there is something to send."""
        while self._sent or not self._waiting:
            self._changed.clear()
            await self._changed.wait()
        self._number += 1
        batch = dict(list(self._waiting.items())[:_BATCH])
        self._sent = {key: count for key, (count, _) in batch.items()}
        return Reports(service=self._service, number=self._number, reports=tuple(raw for _, raw in batch.values()))

    def accepted(self, number: int) -> None:
        """The batch of that number is committed; what has changed meanwhile stays."""
        if number != self._number:
            return
        for key, count in self._sent.items():
            if key in self._waiting and self._waiting[key][0] == count:
                del self._waiting[key]
        self._sent = {}
        self._changed.set()

    @property
    def is_empty(self) -> bool:
        return not self._waiting
