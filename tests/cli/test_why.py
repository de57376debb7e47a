"""`kilostack why` asks as the user of the clouds.yaml entry, and tells what is on record."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from tests.cli.conftest import Shell

RECORD = {
    "server": {"id": "s-1", "name": "web", "status": "ERROR"},
    "decisions": [
        {
            "at": "2026-11-20T10:00:00Z",
            "outcome": "no host has room",
            "host": None,
            "record": {
                "asked": {"VCPU": 4},
                "hosts": 2,
                "rules": [{"rule": "vcpus", "left": 0, "removed": {"host-1": "3 free of 8"}, "more": 1}],
                "weights": [],
            },
        }
    ],
    "sagas": [
        {
            "at": "2026-11-20T10:00:00Z",
            "name": "server_create",
            "state": "undone",
            "steps": [{"at": "2026-11-20T10:00:01Z", "step": "allocate", "state": "failed", "detail": "no valid host"}],
        }
    ],
}


class StandInApi(ThreadingTCPServer):
    """Just enough of identity and compute: `demo` sees the servers of their project, `admin` those of all."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, passwords: dict[str, str]) -> None:
        self.passwords = passwords
        super().__init__(("127.0.0.1", port), Answers)


class Answers(BaseHTTPRequestHandler):
    """`demo` owns two servers called twin and one called web."""

    server: StandInApi

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        user = body["auth"]["identity"]["password"]["user"]
        right = self.server.passwords.get(user["name"]) == user["password"]
        self._answer(201 if right else 401, {}, user["name"])

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        mine = self.headers["X-Auth-Token"] == "demo"
        if url.path == "/kilostack/v1/servers/s-1/why" or (url.path == "/compute/v2.1/servers/s-1" and mine):
            self._answer(200, {"server": {"id": "s-1"}} if "compute" in url.path else RECORD)
        elif url.path == "/compute/v2.1/servers":
            query = parse_qs(url.query)
            everywhere = "all_tenants" in query
            if everywhere and mine:
                self._answer(403, {})
                return
            pattern = re.compile(query["name"][0])
            servers = [{"id": "s-1", "name": "web"}, *[{"id": "a", "name": "twin"}] * 2, {"id": "b", "name": "web2"}]
            seen = servers if mine or everywhere else []
            self._answer(200, {"servers": [one for one in seen if pattern.search(one["name"])]})
        else:
            self._answer(404, {})

    def _answer(self, status: int, body: Any, token: str = "") -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("X-Subject-Token", token)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cloud(shell: Shell, port: int) -> Iterator[Shell]:
    """A cloud that has been up, with stand-ins for its APIs."""
    shell.type("up", "--simulate", "--port", str(port))
    shell.type("down")
    clouds = yaml.safe_load(shell.clouds_yaml.read_text())["clouds"]
    passwords = {entry["auth"]["username"]: entry["auth"]["password"] for entry in clouds.values()}
    with StandInApi(port, passwords) as api:
        thread = threading.Thread(target=api.serve_forever)
        thread.start()
        yield shell
        api.shutdown()
        thread.join()


@pytest.mark.parametrize("server", ["web", "s-1"])
def test_it_tells_decisions_and_steps(cloud: Shell, server: str) -> None:
    said = cloud.type("why", server).stdout
    for word in ("web", "no host has room", "VCPU 4", "3 free of 8", "server_create", "allocate", "no valid host"):
        assert word in said


def test_as_json_it_is_the_record(cloud: Shell) -> None:
    assert json.loads(cloud.type("why", "web", "-f", "json").stdout) == RECORD


def test_an_administrator_finds_the_servers_of_others(cloud: Shell) -> None:
    said = cloud.type("why", "--os-cloud", "kilostack-admin", "web", "-f", "json").stdout
    assert json.loads(said) == RECORD
    assert "2 servers" in cloud.type("why", "--os-cloud", "kilostack-admin", "twin", code=1).stderr


def test_a_name_of_two_is_not_guessed(cloud: Shell) -> None:
    assert "2 servers" in cloud.type("why", "twin", code=1).stderr


@pytest.mark.parametrize("server", ["nobody", "we", "we.", "a/../b", "?x", "ü", "%2e"])
def test_names_of_no_server(cloud: Shell, server: str) -> None:
    assert "no server" in cloud.type("why", server, code=1).stderr


def test_a_wrong_password_and_a_wrong_entry_are_named(cloud: Shell) -> None:
    assert "no entry nobody" in cloud.type("why", "--os-cloud", "nobody", "web", code=1).stderr
    text = cloud.clouds_yaml.read_text()
    password = yaml.safe_load(text)["clouds"]["kilostack"]["auth"]["password"]
    cloud.clouds_yaml.write_text(text.replace(password, "wrong"))
    assert "does not let kilostack in" in cloud.type("why", "web", code=1).stderr


def test_a_cloud_that_is_down_says_so(shell: Shell, port: int) -> None:
    assert "no such cloud" in shell.type("why", "web", code=1).stderr
    shell.type("up", "--simulate", "--port", str(port))
    shell.type("down")
    assert "does not answer" in shell.type("why", "web", code=1).stderr
