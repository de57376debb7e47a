"""A whole simulated cloud as `kilostack up --simulate` makes it, and a client that speaks HTTP to it over sockets."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tests.clouds import BIN, free_port

DEADLINE_S = 60.0
DEFAULT = {"id": "default"}
NOBODY = "0" * 32

TOKENS = "/identity/v3/auth/tokens"
COMPUTE, NETWORK, IMAGE, IDENTITY = "/compute/v2.1", "/network/v2.0", "/image/v2", "/identity/v3"


class Answer(msgspec.Struct, frozen=True):
    """What came back; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def message(self) -> str:
        """What the dialect of the service tells a person; fails when the body is in no known dialect."""
        return message_of(self.json(), self.status)


def message_of(document: Any, status: int) -> str:
    """The sentence in an error body. Fails unless the body has the exact form of one of the six dialects."""
    assert isinstance(document, dict), document
    match document:
        case {"NeutronError": {"type": str(), "message": str(message), "detail": str()}}:
            assert len(document) == 1
        case {"error": {"code": code, "title": str(), "message": str(message)}}:
            assert len(document) == 1 and code == status
        case {"message": str(message), "code": str(code), "title": str()}:
            assert code.startswith(str(status))
        case {"error": str(), "error_description": str(message)}:
            assert len(document) == 2
        case {"errors": [{"status": code, "detail": str(message)}]}:
            assert code == status
        case {"computeFault": {"code": 406, "message": str(message)}, "errors": [_]}:
            pass
        case _:
            assert len(document) == 1, document
            inner = next(iter(document.values()))
            assert inner["code"] == status
            message = inner["message"]
    assert message, document
    return str(message)


class Login(msgspec.Struct, frozen=True):
    """A person's way into one project of a cloud."""

    cloud: SimulatedCloud
    token: str
    project_id: str
    user_id: str

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return self.cloud.ask(method, path, body, token=self.token, **more)

    def get(self, path: str, **more: Any) -> Any:
        """The body of a GET that must succeed."""
        answer = self.ask("GET", path, **more)
        assert answer.status == 200, (path, answer)
        return answer.json()

    def make(self, path: str, body: Any, **more: Any) -> Any:
        """The one thing that a POST has made."""
        answer = self.ask("POST", path, body, **more)
        assert answer.status in (200, 201, 202), (path, answer)
        document = answer.json()
        return next(iter(document.values())) if len(document) == 1 else document

    def remove(self, path: str) -> None:
        answer = self.ask("DELETE", path)
        assert answer.status in (200, 202, 204), (path, answer)

    def server(self, name: str, *, wait: str = "ACTIVE", **more: Any) -> dict[str, Any]:
        """Create a server of the smallest flavor without networks unless told otherwise; wait for its state."""
        wanted = {"name": name, "flavorRef": self.flavor("m1.tiny"), "networks": "none", **more}
        wanted.setdefault("imageRef", "")
        wanted["imageRef"] = wanted["imageRef"] or self.image()
        made = self.make(f"{COMPUTE}/servers", {"server": wanted})
        return self.server_is(made["id"], wait) if wait else made

    def server_is(self, server_id: str, *states: str) -> dict[str, Any]:
        """The server, once it is in one of these states."""
        found: dict[str, Any] = {}

        def settled() -> bool:
            found.update(self.get(f"{COMPUTE}/servers/{server_id}")["server"])
            assert found["status"] != "ERROR" or "ERROR" in states, found
            return found["status"] in states and found["OS-EXT-STS:task_state"] is None

        wait_until(settled, lambda: f"server {server_id} is {states}: {found}")
        return found

    def server_gone(self, server_id: str) -> None:
        wait_until(lambda: self.ask("GET", f"{COMPUTE}/servers/{server_id}").status == 404, f"{server_id} is gone")

    def flavor(self, name: str) -> str:
        return next(f["id"] for f in self.get(f"{COMPUTE}/flavors")["flavors"] if f["name"] == name)

    def image(self) -> str:
        def active() -> bool:
            return bool(self.get(f"{IMAGE}/images?name=tiny&status=active")["images"])

        wait_until(active, "image tiny is active")
        return str(self.get(f"{IMAGE}/images?name=tiny")["images"][0]["id"])


def wait_until(holds: Callable[[], bool], what: str | Callable[[], str], deadline_s: float = DEADLINE_S) -> None:
    """Wait for a state, with a deadline. `what` is told when it never comes."""
    end = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < end, f"not within {deadline_s:g} s: {what if isinstance(what, str) else what()}"
        time.sleep(0.02)


class SimulatedCloud:
    """One cloud in a HOME of its own."""

    #: options that make it the kind of cloud that it is, and what every command begins with
    kind: tuple[str, ...] = ("--simulate",)
    front: tuple[str, ...] = ()

    def __init__(self, home: Path, name: str, *options: str) -> None:
        self.home, self.name, self.options = home, name, options
        self.port = free_port()
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "OS_", "SUDO_"))}
        self.environment = {**kept, "HOME": str(home)}
        self._connections = threading.local()
        self._opened: list[http.client.HTTPConnection] = []

    @property
    def state_dir(self) -> Path:
        return self.home / ".local/state/kilostack" / self.name

    def kilostack(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        done = subprocess.run(
            [*self.front, sys.executable, "-I", str(BIN / "kilostack"), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S * 2,
            stdin=subprocess.DEVNULL,
        )
        assert not check or done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def up(self, *more: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        where = ("--name", self.name, "--port", str(self.port))
        return self.kilostack("up", *self.kind, *where, *self.options, *more, check=check)

    def down(self, *more: str) -> None:
        for connection in self._opened:
            connection.close()
        self.kilostack("down", "--name", self.name, *more)

    def status(self) -> list[dict[str, Any]]:
        return list(json.loads(self.kilostack("status", "--name", self.name, "-f", "json", check=False).stdout))

    def passwords(self) -> dict[str, str]:
        return dict(json.loads((self.state_dir / "passwords.json").read_text()))

    def log(self) -> str:
        """Everything that every process of the cloud has logged."""
        return "".join(file.read_text(errors="replace") for file in sorted((self.state_dir / "log").iterdir()))

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        version: str = "2.96",
        headers: Mapping[str, str] | None = None,
        again: bool = True,
    ) -> Answer:
        """One request. `body` as bytes is sent as it is, anything else as JSON; `path` is sent to the letter.

        When the connection breaks it is made `again` once, unless told otherwise.
        """
        sent = {"OpenStack-API-Version": f"compute {version}"}
        if token is not None:
            sent["X-Auth-Token"] = token
        raw = body
        if body is not None and not isinstance(body, bytes):
            raw, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        if not again:
            return self._exchange(method, path, raw, sent | dict(headers or {}))
        try:
            return self._exchange(method, path, raw, sent | dict(headers or {}))
        except (http.client.HTTPException, OSError):
            return self._exchange(method, path, raw, sent | dict(headers or {}))

    def _exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        connection = getattr(self._connections, "one", None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
            self._connections.one = connection
            self._opened.append(connection)
        try:
            connection.request(method, path, body, dict(headers))
            got = connection.getresponse()
            return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
        except (http.client.HTTPException, OSError):
            connection.close()
            self._connections.one = None
            raise

    def log_in(self, user: str = "demo", password: str | None = None, *, project: str | None = None) -> Login:
        """A token of `user` for the project of this name, their own unless told otherwise."""
        secret = self.passwords()[user] if password is None else password
        answer = self.ask("POST", TOKENS, password_body(user, secret, project or user))
        assert answer.status == 201, answer
        token = answer.json()["token"]
        return Login(self, answer.headers["x-subject-token"], token["project"]["id"], token["user"]["id"])

    def new_project(self, name: str, *roles: str) -> Login:
        """A new project with one new user who has these roles; the user's token."""
        admin = self.log_in("admin")
        project = admin.make(f"{IDENTITY}/projects", {"project": {"name": name, "domain_id": "default"}})
        user = admin.make(
            f"{IDENTITY}/users", {"user": {"name": name, "password": f"{name}-password", "domain_id": "default"}}
        )
        known = {role["name"]: role["id"] for role in admin.get(f"{IDENTITY}/roles")["roles"]}
        for role in roles:
            path = f"{IDENTITY}/projects/{project['id']}/users/{user['id']}/roles/{known[role]}"
            assert admin.ask("PUT", path).status == 204
        return self.log_in(name, f"{name}-password")


def password_body(user: str, password: Any, project: str | None = None) -> dict[str, Any]:
    """The body of a log-in."""
    identity = {"methods": ["password"], "password": {"user": {"name": user, "domain": DEFAULT, "password": password}}}
    scope = {} if project is None else {"scope": {"project": {"name": project, "domain": DEFAULT}}}
    return {"auth": {"identity": identity, **scope}}
