"""Clients that break the rules of HTTP, or keep them in an unusual way: others are served all the while."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from tests.http.whole.simulated import COMPUTE, IDENTITY, IMAGE, NETWORK, TOKENS, Login, SimulatedCloud, message_of
from tests.http.whole.things import new_image

HEAD = b"GET /compute/v2.1/flavors HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@contextmanager
def wire(cloud: SimulatedCloud) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("127.0.0.1", cloud.port), timeout=20)) as connection:
        yield connection


def _read(connection: socket.socket) -> bytes:
    """Everything until the server ends the connection."""
    got = b""
    try:
        while piece := connection.recv(65536):
            got += piece
    except (ConnectionResetError, BrokenPipeError):
        pass
    return got


def _exchange(cloud: SimulatedCloud, raw: bytes) -> bytes:
    with wire(cloud) as connection:
        try:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return _read(connection)


@pytest.fixture(autouse=True)
def well_afterwards(cloud: SimulatedCloud, demo: Login) -> Iterator[None]:
    pid = cloud.ask("GET", "/healthz").status
    yield
    assert pid == cloud.ask("GET", "/healthz").status == 200
    assert demo.ask("GET", f"{COMPUTE}/flavors").status == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"G\0T / HTTP/1.1\r\nHost: x\r\n\r\n",
        HEAD + b"Bad Header: x\r\n\r\n",
        HEAD + b"X: a\0b\r\n\r\n",
        HEAD + b"X" * 100_000,
        HEAD + b"X: " + b"y" * 2_000_000 + b"\r\n\r\n",
        HEAD + b"".join(b"X-%d: y\r\n" % n for n in range(50_000)) + b"\r\n",
        b"GET /" + b"x" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /compute/v2.1/servers HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /compute/v2.1/servers HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /compute/v2.1/servers HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x",
        b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"CONNECT 192.0.2.1:22 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET http://192.0.2.1/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /compute/v2.1/servers\xff\xfe HTTP/1.1\r\nHost: \xff\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"",
    ],
    ids=lambda raw: raw[:40].decode("latin-1").encode("unicode_escape").decode(),
)
def test_what_is_hardly_http(cloud: SimulatedCloud, raw: bytes) -> None:
    got = _exchange(cloud, raw)
    for answer in got.split(b"HTTP/1.1 ")[1:]:
        assert answer[:1] in b"234", got[:500]
    assert b"Traceback" not in got


def _login_bytes(demo: Login, path: str, method: str = "GET", more: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {demo.token}\r\n{more}\r\n".encode()


def test_requests_in_one_breath_are_answered_in_order(cloud: SimulatedCloud, demo: Login) -> None:
    paths = [f"{COMPUTE}/flavors", f"{NETWORK}/networks", f"{IMAGE}/images", f"{COMPUTE}/servers", "/healthz"] * 4
    raw = b"".join(_login_bytes(demo, path) for path in paths[:-1])
    raw += _login_bytes(demo, paths[-1], more="Connection: close\r\n")
    with wire(cloud) as connection:
        connection.sendall(raw)
        got = _read(connection)
    parts = got.split(b"HTTP/1.1 ")[1:]
    assert [part[:3] for part in parts] == [b"200"] * len(paths)
    keys = [next(iter(json.loads(part.split(b"\r\n\r\n", 1)[1]))) for part in parts]
    assert keys[:5] == ["flavors", "networks", "images", "servers", "status"]
    assert keys == keys[:5] * 4


def test_one_byte_at_a_time(cloud: SimulatedCloud, demo: Login) -> None:
    with wire(cloud) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in _login_bytes(demo, f"{COMPUTE}/flavors", more="Connection: close\r\n"):
            connection.send(bytes([byte]))
        assert _read(connection).startswith(b"HTTP/1.1 200")


def test_crowds_that_say_nothing_keep_nobody_out(cloud: SimulatedCloud, demo: Login) -> None:
    silent = [socket.create_connection(("127.0.0.1", cloud.port), timeout=20) for _ in range(300)]
    try:
        for number, connection in enumerate(silent):
            connection.sendall(HEAD[: number % len(HEAD)])
        for _ in range(50):
            assert demo.ask("GET", f"{COMPUTE}/flavors").status == 200
    finally:
        for connection in silent:
            connection.close()


def test_whoever_leaves_before_the_answer_is_not_missed(cloud: SimulatedCloud, demo: Login) -> None:
    image = new_image(demo, bytes(8 << 20))
    before = cloud.log().count('"level":"error"')
    for path in (f"{COMPUTE}/servers/detail", f"{IMAGE}/images/{image}/file", f"{NETWORK}/ports"):
        for _ in range(20):
            with wire(cloud) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.sendall(_login_bytes(demo, path))
    assert demo.ask("GET", f"{COMPUTE}/flavors").status == 200
    assert cloud.log().count('"level":"error"') == before
    demo.remove(f"{IMAGE}/images/{image}")


def test_a_body_that_never_ends_is_cut_short(cloud: SimulatedCloud, demo: Login) -> None:
    with wire(cloud) as connection:
        connection.sendall(_login_bytes(demo, f"{COMPUTE}/servers", "POST", "Transfer-Encoding: chunked\r\n"))
        piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        got = b""
        try:
            for _ in range(64):
                connection.sendall(piece)
        except OSError:
            pass
        got = connection.recv(65536)
    assert got.startswith(b"HTTP/1.1 413"), got


def test_head_has_no_body_and_the_same_head(demo: Login) -> None:
    for path in (f"{COMPUTE}/flavors", f"{NETWORK}/networks", f"{IMAGE}/images", f"{COMPUTE}/servers/x", "/nowhere"):
        got, head = demo.ask("GET", path), demo.ask("HEAD", path)
        assert head.body == b""
        assert head.status == got.status
        own = {"date", "x-openstack-request-id", "x-compute-request-id"}
        assert {k: v for k, v in head.headers.items() if k not in own} == {
            k: v for k, v in got.headers.items() if k not in own
        }


@pytest.mark.parametrize(
    "path", ["/", "/identity", f"{IDENTITY}/users", TOKENS, f"{COMPUTE}/servers", f"{NETWORK}/ports"]
)
@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND", "MKCOL", "SEARCH", "LOCK"])
def test_methods_of_others(cloud: SimulatedCloud, demo: Login, path: str, method: str) -> None:
    answer = demo.ask(method, path)
    assert answer.status in (200, 204, 400, 404, 405), answer
    if answer.status >= 400:
        message_of(answer.json(), answer.status)
    if method != "OPTIONS":
        assert answer.status in (404, 405)
    if answer.status == 405:
        assert answer.headers["allow"]
    assert demo.token.encode() not in answer.body


def test_made_up_methods_do_not_fill_the_metrics(cloud: SimulatedCloud, demo: Login) -> None:
    before = len(cloud.ask("GET", "/metrics").body)
    for number in range(50):
        _exchange(cloud, f"FOO{number} / HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {demo.token}\r\n\r\n".encode())
    assert len(cloud.ask("GET", "/metrics").body) < before + 1500


def test_a_dozen_at_once_get_what_each_asked_for(cloud: SimulatedCloud, demo: Login) -> None:
    wrong: list[Any] = []

    def ask(number: int) -> None:
        for turn in range(30):
            name = f"n-{number}-{turn}"
            answer = demo.ask("GET", f"{COMPUTE}/os-keypairs/{name}")
            if answer.status != 404 or name not in answer.message:
                wrong.append(answer)

    crowd = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert not wrong
