"""What every web must do, and what the real one must not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kilostack.core.world import RealWorld
from kilostack.drivers.web.memory import MemoryWeb
from kilostack.drivers.web.port import Unreachable, Web
from kilostack.drivers.web.real import RealWeb

_DOCUMENT = b'{"a": 1}'


class _Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/document":
            self._answer(200, _DOCUMENT)
        elif self.path == "/elsewhere":
            self._answer(302, b"", Location="/document")
        elif self.path == "/long":
            self._answer(200, b"x" * (1 << 20) + b"x")
        else:
            self._answer(404, b"")

    def do_POST(self) -> None:
        self._answer(200, self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Tests are quiet."""


@pytest.fixture
def pages() -> Iterator[str]:
    """The address of a server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["real", "memory"])
def web(request: pytest.FixtureRequest, pages: str, world: RealWorld) -> Web:
    if request.param == "real":
        return RealWeb(world)
    return MemoryWeb({f"{pages}/document": _DOCUMENT})


async def test_a_document_is_there_or_not(web: Web, pages: str) -> None:
    assert await web.get(f"{pages}/document") == _DOCUMENT
    with pytest.raises(Unreachable):
        await web.get(f"{pages}/nothing")


@pytest.mark.parametrize(
    "url", ["", "nonsense", "http://", "http://127.0.0.1:1/x", "file:///etc/passwd", "http://[/", "ftp://127.0.0.1/x"]
)
async def test_what_is_no_address_is_unreachable(web: Web, url: str) -> None:
    with pytest.raises(Unreachable):
        await web.get(url)
    with pytest.raises(Unreachable):
        await web.post(url, {})


async def test_redirections_are_not_followed(pages: str, world: RealWorld) -> None:
    with pytest.raises(Unreachable):
        await RealWeb(world).get(f"{pages}/elsewhere")


async def test_nobody_makes_us_read_for_ever(pages: str, world: RealWorld) -> None:
    with pytest.raises(Unreachable, match="longer"):
        await RealWeb(world).get(f"{pages}/long")


async def test_a_form_is_sent(pages: str, world: RealWorld) -> None:
    assert await RealWeb(world).post(f"{pages}/form", {"a": "1 2", "b": "&"}) == b"a=1+2&b=%26"


async def test_who_never_answers_is_unreachable(world: RealWorld) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unreachable):
        await RealWeb(world, timeout_s=0.05).get(f"http://127.0.0.1:{silent.getsockname()[1]}/")
