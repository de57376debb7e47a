"""A web of documents in memory, for simulations and tests."""

from __future__ import annotations

from collections.abc import Mapping

from kilostack.drivers.web.port import Unreachable


class MemoryWeb:
    """`documents` is URL -> document, and may be changed at any time; `asked` is what was asked for, in order."""

    def __init__(self, documents: Mapping[str, bytes] | None = None) -> None:
        self.documents = dict(documents or {})
        self.asked: list[str] = []

    async def get(self, url: str) -> bytes:
        self.asked.append(url)
        if (document := self.documents.get(url)) is None:
            raise Unreachable(f"{url}: nothing is there")
        return document

    async def post(self, url: str, fields: Mapping[str, str]) -> bytes:
        return await self.get(url)
