"""The web by HTTP and HTTPS, with the certificates and the proxy of the machine."""

from __future__ import annotations

import http.client
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from kilostack.core.world import World
from kilostack.drivers.web.port import Unreachable

_LONGEST = 1 << 20


class RealWeb:
    """Each call occupies a thread of the world's pool."""

    def __init__(self, world: World, timeout_s: float = 5.0) -> None:
        self._world, self._timeout_s = world, timeout_s
        self._opener = urllib.request.build_opener(_NoRedirection)

    async def get(self, url: str) -> bytes:
        return await self._ask(url, None)

    async def post(self, url: str, fields: Mapping[str, str]) -> bytes:
        return await self._ask(url, urlencode(fields).encode())

    async def _ask(self, url: str, body: bytes | None) -> bytes:
        try:
            # the other timeout is that of each read: who sends a byte now and then would never end
            async with self._world.timeout(2 * self._timeout_s):
                return await self._world.in_thread(self._asked, url, body)
        except TimeoutError:
            raise Unreachable(f"{url}: no whole answer in time") from None

    def _asked(self, url: str, body: bytes | None) -> bytes:
        try:
            if urlsplit(url).scheme not in ("http", "https"):
                raise Unreachable(f"{url}: only http and https are asked")
            request = urllib.request.Request(url, data=body, headers={"Accept": "application/json"})
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                document: bytes = answer.read(_LONGEST + 1)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Unreachable(f"{url}: {error}") from None
        if len(document) > _LONGEST:
            raise Unreachable(f"{url}: the answer is longer than {_LONGEST} bytes")
        return document


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    """Whoever can redirect us could make us ask our own network."""

    def redirect_request(self, *args: Any) -> None:
        return None
