"""The application behind the server that the product runs, spoken to over sockets by clients that behave badly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from kilostack.core.world import RealWorld
from tests.http.foundation import toy
from tests.http.serving import served

_OPEN = b"GET /compute/v9/things/1 HTTP/1.1\r\nHost: cloud.test\r\n"
_TOKEN = b"X-Auth-Token: member\r\n"


@pytest.fixture
async def address(world: RealWorld) -> AsyncIterator[tuple[str, int]]:
    async with served(toy.app(world)) as found:
        yield found


class Talk:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, address: tuple[str, int]) -> Talk:
        return cls(*await asyncio.open_connection(*address, limit=1 << 24))

    async def say(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def hear(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer; status 0 when the server has closed the connection."""
        async with asyncio.timeout(20):
            try:
                head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return 0, {}, b""
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            body = await self._reader.readexactly(int(headers.get("content-length", 0)))
            return int(head[0].split(" ")[1]), headers, body

    def close(self) -> None:
        self._writer.close()


async def _ask(address: tuple[str, int], data: bytes) -> tuple[int, dict[str, str], bytes]:
    talk = await Talk.to(address)
    await talk.say(data)
    answer = await talk.hear()
    talk.close()
    return answer


async def _is_well(address: tuple[str, int]) -> None:
    status, _, _ = await _ask(address, _OPEN + _TOKEN + b"\r\n")
    assert status == 200


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        _OPEN + b"Content-Length: x\r\n\r\n",
        _OPEN + b"Content-Length: -5\r\n\r\n",
        _OPEN + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        _OPEN + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        _OPEN + b"Transfer-Encoding: nonsense\r\n\r\n",
        _OPEN + _TOKEN + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /compute/v9/things/\xff\xfe HTTP/1.1\r\nHost: x\r\n" + _TOKEN + b"\r\n",
        b"GET /compute/v9/things/1?a=\xff\xfe HTTP/1.1\r\nHost: x\r\n" + _TOKEN + b"\r\n",
        b"GET /compute/v9/things/1 HTTP/1.1\r\n" + _TOKEN + b"\r\n",
        b"GET /compute/v9/things/1 HTTP/1.0\r\n" + _TOKEN + b"\r\n",
        b"GET http://elsewhere/compute/v9/things/1 HTTP/1.1\r\nHost: x\r\n" + _TOKEN + b"\r\n",
        b"GET //compute/v9/things/1 HTTP/1.1\r\nHost: x\r\n" + _TOKEN + b"\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /compute/v9/things/1 HTTP/1.1\r\nHost: \xc3\xa9\xff\r\n\r\n",
        b"GET /compute/v9/things/1 HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET /compute/v9/things/1 HTTP/1.1\r\nHost: " + b"x" * 20_000 + b"\r\n\r\n",
        _OPEN + b"X-Auth-Token: \xff\xfe\r\n\r\n",
        _OPEN + b"X-Auth-Token: " + b"x" * 30_000 + b"\r\n\r\n",
        _OPEN + _TOKEN + _TOKEN + b"\r\n",
        _OPEN + _TOKEN + b"OpenStack-API-Version: \xc3\xa9\r\n\r\n",
        _OPEN + _TOKEN + b"OpenStack-API-Version: compute 2.5\r\nOpenStack-API-Version: volume 3.1\r\n\r\n",
        _OPEN + _TOKEN + b"X-Forwarded-Host: \xff\r\nX-Forwarded-Prefix: \xff\r\n\r\n",
        _OPEN + _TOKEN + b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Key: x\r\n\r\n",
        _OPEN + _TOKEN + b"".join(b"X-H%d: y\r\n" % number for number in range(2000)) + b"\r\n",
    ],
)
async def test_odd_requests_never_are_bugs(
    address: tuple[str, int], request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    status, _, _ = await _ask(address, request_)
    assert status < 500, status
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    await _is_well(address)


async def test_two_versions_in_two_headers(address: tuple[str, int]) -> None:
    both = b"OpenStack-API-Version: volume 3.1\r\nOpenStack-API-Version: compute 2.5\r\n"
    status, headers, _ = await _ask(address, _OPEN + _TOKEN + both + b"\r\n")
    assert (status, headers["openstack-api-version"]) == (200, "compute 2.5")


async def test_raw_bytes_in_a_query_are_replaced(address: tuple[str, int]) -> None:
    status, _, body = await _ask(address, b"GET /compute/v9/things/1?a=\xff HTTP/1.1\r\nHost: x\r\n" + _TOKEN + b"\r\n")
    assert status in (200, 400)
    if status == 200:
        assert json.loads(body)["query"][0][0] == "a"


async def test_a_body_in_chunks(address: tuple[str, int]) -> None:
    body = b'{"thing": {"name": "abc"}}'
    talk = await Talk.to(address)
    await talk.say(b"POST /compute/v9/things HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + _TOKEN + b"\r\n")
    for byte in body:
        await talk.say(b"1\r\n" + bytes([byte]) + b"\r\n")
    await talk.say(b"0\r\n\r\n")
    status, _, got = await talk.hear()
    assert (status, json.loads(got)) == (202, json.loads(body))
    await talk.say(_OPEN + _TOKEN + b"\r\n")
    assert (await talk.hear())[0] == 200, "the connection goes on"
    talk.close()


async def test_a_client_that_waits_before_it_sends(address: tuple[str, int]) -> None:
    talk = await Talk.to(address)
    body = b'{"thing": {"name": "abc"}}'
    await talk.say(
        b"POST /compute/v9/things HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n" % len(body)
        + _TOKEN
        + b"\r\n"
    )
    assert (await talk.hear())[0] == 100
    await talk.say(body)
    assert (await talk.hear())[0] == 202
    talk.close()


async def test_a_refusal_arrives_although_the_body_is_not_read(address: tuple[str, int]) -> None:
    talk = await Talk.to(address)
    await talk.say(b"POST /compute/v9/things HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
    assert (await talk.hear())[0] == 401
    talk.close()
    await _is_well(address)


async def test_clients_that_go_away(address: tuple[str, int], caplog: pytest.LogCaptureFixture) -> None:
    for begun in (
        b"POST /compute/v9/things HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n" + _TOKEN + b"\r\n{",
        b"POST /compute/v9/things HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + _TOKEN + b"\r\n1\r\n{\r\n",
        b"POST /compute/v9/things HTTP/1.1\r\nHo",
        _OPEN,
    ):
        talk = await Talk.to(address)
        await talk.say(begun)
        talk.close()
        await _is_well(address)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_requests_one_after_another_without_waiting(address: tuple[str, int]) -> None:
    talk = await Talk.to(address)
    await talk.say((_OPEN + _TOKEN + b"\r\n") * 20)
    assert [(await talk.hear())[0] for _ in range(20)] == [200] * 20
    talk.close()
