"""HTTP tests in one process: personas whose token is their name, a client that speaks ASGI, and requests as data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
import yaml

from kilostack.core import errors
from kilostack.core.context import Context
from kilostack.core.world import World
from kilostack.http.app import Observer, make_app
from kilostack.http.authentication import Authenticator
from kilostack.http.messages import Request
from kilostack.http.openapi import statuses
from kilostack.http.routes import Api
from tests.promptness import Prompt

ROOT = "http://cloud.test"
PROJECT, OTHER_PROJECT, ADMIN_PROJECT = "a" * 31 + "1", "a" * 31 + "2", "a" * 31 + "0"
_ROLES = ("admin", "manager", "member", "reader")


def _scoped(name: str, *, project: str, roles: tuple[str, ...]) -> Context:
    return Context(
        request_id="",
        user_id=f"{name}-id",
        user_name=name,
        user_domain_id="default",
        user_domain_name="Default",
        project_id=project,
        project_name={PROJECT: "demo", OTHER_PROJECT: "other", ADMIN_PROJECT: "admin"}[project],
        project_domain_id="default",
        project_domain_name="Default",
        roles=roles,
        audit_id=f"audit-{name}",
    )


#: token -> who. "none" has a project and no role, "unscoped" has neither; "service" also acts for others.
PERSONAS: dict[str, Context] = {
    "admin": _scoped("admin", project=ADMIN_PROJECT, roles=_ROLES),
    "project-admin": _scoped("project-admin", project=PROJECT, roles=_ROLES),
    "manager": _scoped("manager", project=PROJECT, roles=_ROLES[1:]),
    "member": _scoped("member", project=PROJECT, roles=_ROLES[2:]),
    "reader": _scoped("reader", project=PROJECT, roles=_ROLES[3:]),
    "other-member": _scoped("other-member", project=OTHER_PROJECT, roles=_ROLES[2:]),
    "none": _scoped("none", project=PROJECT, roles=()),
    "service": _scoped("service", project=ADMIN_PROJECT, roles=("service", "reader")),
    "unscoped": Context(request_id="", user_id="unscoped-id", user_name="unscoped", user_domain_id="default"),
    "system-admin": Context(request_id="", user_id="sys-id", user_name="sys", system=True, roles=_ROLES),
}


class Personas:
    """An authenticator that knows the personas and nobody else."""

    async def context(self, token: str, *, writing: bool) -> Context:
        if (known := PERSONAS.get(token)) is None:
            raise errors.Unauthenticated("The request you have made requires authentication.")
        return known


class Told(Observer):
    """Sees to it that no operation ends with a status that its service's OpenAPI document does not name."""

    def answered(self, service: str, request: Request, status: int, seconds: float) -> None:
        route = request.route
        if route is not None and route.statuses:
            ends = statuses(route)
            assert status in ends, f"{request.method} {route.path} answered {status}; it tells {sorted(ends)}"


class Answer(msgspec.Struct, frozen=True):
    """What came back; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


class Client:
    """Sends requests to an ASGI application as a server would; paths are percent-encoded by the caller."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def request(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        json: Any = None,
        body: bytes | Sequence[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """`body` as a sequence is sent in these chunks, without a length."""
        chunks, sent = _chunks(json, body, headers, token)
        parts = urlsplit(path)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(parts.path),
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in sent.items()],
            "client": ("127.0.0.1", 50000),
            "server": ("cloud.test", 80),
        }
        events = [
            {"type": "http.request", "body": chunk, "more_body": at < len(chunks) - 1}
            for at, chunk in enumerate(chunks)
        ]
        got: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return events.pop(0) if events else {"type": "http.disconnect"}

        async def send(event: dict[str, Any]) -> None:
            got.append(event)

        await Prompt(self.app(scope, receive, send), f"{method} {path[:100]}")
        start = got[0]
        return Answer(
            start["status"],
            {name.decode(): value.decode() for name, value in start["headers"]},
            b"".join(event.get("body", b"") for event in got[1:]),
        )


def _chunks(
    document: Any, body: bytes | Sequence[bytes] | None, headers: Mapping[str, str] | None, token: str | None
) -> tuple[list[bytes], dict[str, str]]:
    sent = {"Host": "cloud.test", **({"X-Auth-Token": token} if token else {})}
    if document is not None:
        body = json.dumps(document).encode()
        sent["Content-Type"] = "application/json"
    if body is None or isinstance(body, bytes):
        chunks = [body or b""]
        if body:
            sent["Content-Length"] = str(len(body))
    else:
        chunks = [*body, b""]
    return chunks, sent | dict(headers or {})


def client(apis: Sequence[Api], world: World, authenticator: Authenticator | None = None) -> Client:
    """A client of an application that serves `apis`, to the personas unless another authenticator is given."""
    return Client(make_app(apis, authenticator or Personas(), world, Told()))


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request as data, and what must come back."""

    name: str
    #: "METHOD /path"; ${name} is replaced here and in the body by what an earlier case kept
    ask: str
    token: str | None = msgspec.field(default=None, name="as")
    body: Any = None
    raw: str | None = None
    headers: dict[str, str] = {}
    status: int
    #: each key must be there with this value, at any depth; lists must match item by item
    json: Any = None
    #: what the body's text must hold
    text: str | None = None
    #: header -> regular expression that its value must match
    answer: dict[str, str] = {}
    #: exactly these keys at a dotted path ("" is the body itself)
    keys: dict[str, list[str]] = {}
    #: name -> dotted path of a value to keep
    keep: dict[str, str] = {}


def cases(path: Path) -> list[Case]:
    """The cases of one YAML file, to be run in order."""
    return msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), list[Case])


async def play(client: Client, case: Case, kept: dict[str, str]) -> Answer:
    """Send the request of `case` and assert what came back. `kept` holds what earlier cases kept."""
    method, _, path = _filled(case.ask, kept).partition(" ")
    answer = await client.request(
        method,
        path,
        token=_filled(case.token, kept),
        json=_filled(case.body, kept),
        body=None if case.raw is None else case.raw.encode(),
        headers=_filled(case.headers, kept),
    )
    shown = f"{case.name}: {method} {path} answered {answer.status}: {answer.body[:2000]!r}"
    assert answer.status == case.status, shown
    if case.json is not None:
        difference = _difference(_filled(case.json, kept), answer.json(), "body")
        assert difference is None, f"{difference}\n{shown}"
    if case.text is not None:
        assert _filled(case.text, kept) in answer.body.decode(), shown
    for name, pattern in case.answer.items():
        assert re.fullmatch(pattern, answer.headers.get(name.lower(), "")), f"header {name}; {shown}"
    for where, keys in case.keys.items():
        assert sorted(_at(answer.json(), where)) == sorted(keys), f"keys of {where!r}; {shown}"
    kept.update({name: str(_at(answer.json(), where)) for name, where in case.keep.items()})
    return answer


def _filled(value: Any, kept: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)\}", lambda match: kept[match[1]], value)
    if isinstance(value, dict):
        return {key: _filled(item, kept) for key, item in value.items()}
    return [_filled(item, kept) for item in value] if isinstance(value, list) else value


def _at(value: Any, where: str) -> Any:
    for part in where.split(".") if where else ():
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def _difference(wanted: Any, found: Any, where: str) -> str | None:
    """The first place where `found` lacks what is `wanted`; None when it has all."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, value in wanted.items():
            if key not in found:
                return f"{where} has no {key!r}"
            if (difference := _difference(value, found[key], f"{where}.{key}")) is not None:
                return difference
        return None
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = enumerate(zip(wanted, found, strict=True))
        return next((d for at, (w, f) in pairs if (d := _difference(w, f, f"{where}[{at}]")) is not None), None)
    return None if wanted == found else f"{where} is {found!r}, not {wanted!r}"
