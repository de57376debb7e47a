"""Requests that no client should send: valid ones bent in ways that a seed decides, over every route there is."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

#: what takes the place of a value
LEAVES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    2**64,
    -(2**63) - 1,
    10**400,
    1.5,
    1e308,
    "",
    " ",
    "0",
    "-1",
    "None",
    "null",
    "x" * 256,
    "x" * 70_000,
    "%",
    "%s%n",
    "${jndi:x}",
    "../../etc/passwd",
    "/",
    "\0",
    "a\0b",
    "line\nbreak",
    "\r\nX-Injected: 1",
    "\u202egnp.exe",
    "\ud800",
    "ünïcödé ☃ 😀",
    "'; DROP TABLE servers; --",
    '"><script>',
    "[",
    "(a+)+$",
    "00000000-0000-0000-0000-000000000000",
    "10.0.0.0/8",
    "0.0.0.0/0",
    "::/0",
    "999.999.999.999",
    "2026-13-45T99:99:99Z",
    [],
    [None],
    [[]],
    [{}],
    {},
    {"": ""},
    {"\0": []},
    {"a": {"b": {"c": [1, 2, 3]}}},
)

#: ids as they stand in a path, percent-encoded already
IDS = (
    "0",
    "-1",
    "x",
    "None",
    "%00",
    "%0a",
    "%0d%0aX-Injected:%201",
    "%2F",
    "%2f..%2f..%2fetc%2fpasswd",
    "..",
    "%2e%2e%2f%2e%2e",
    "%3F",
    "%3Fa=b",
    "%23",
    "%25",
    "%",
    "%zz",
    "%ff%fe",
    "%ed%a0%80",
    "%F0%9F%98%80",
    quote("ünïcödé"),
    "%20",
    "a%20b",
    "'",
    "%22",
    "*",
    ";",
    "a;b=c",
    "x" * 255,
    "x" * 4000,
    "00000000-0000-0000-0000-000000000000",
    "0" * 32,
    "{}",
    "%5B%5D",
    "%7f",
    "~",
    "detail.json",
    "1e999",
    "9" * 400,
)

QUERIES = (
    "limit=-1",
    "limit=0",
    "limit=x",
    "limit=99999999999999999999",
    "limit=1&limit=2",
    "limit=",
    "marker=x",
    "marker=%00",
    "marker=00000000-0000-0000-0000-000000000000",
    "marker=",
    "sort_key=x",
    "sort_key=id&sort_dir=sideways",
    "sort_key=%00&sort_dir=asc",
    "sort_dir=asc",
    "sort_key=" + "id&sort_key=" * 40 + "id",
    "sort=name:sideways,id",
    "sort=:::,,,",
    "page_reverse=maybe",
    "fields=x",
    "fields=%00&fields=id",
    "name=(((",
    "name=(a%2B)%2B%24",
    "name=%5B",
    "name=%00",
    "name=" + "a" * 5000,
    "name=in:%22",
    "name=in:a,b",
    "status=x",
    "id=" + "x" * 300,
    "id=%F0%9F%98%80",
    "tags=%00",
    "tags=" + ",".join("abc"),
    "not-tags-any=,",
    "changes-since=yesterday",
    "changes-since=9999-12-31T23:59:59Z",
    "changes-since=0000-00-00T00:00:00Z",
    "changes-since=2026-01-01T00:00:00%2B99:99",
    "changes-before=1",
    "changed_since=x",
    "created_at=gt:x",
    "updated_at=lt:9999-99-99",
    "all_tenants=maybe",
    "deleted=maybe",
    "ip=(",
    "power_state=x",
    "launch_index=x",
    "locked=perhaps",
    "mtu=x",
    "revision_number=-1",
    "fixed_ips=x",
    "fixed_ips=ip_address=x",
    "fixed_ips=subnet_id=%00",
    "security_groups=%00",
    "size_min=x",
    "size_max=-5",
    "visibility=x",
    "member_status=x",
    "protected=perhaps",
    "enabled=perhaps",
    "parents_as_list&parents_as_ids",
    "user.id=%00",
    "scope.project.id=x&scope.domain.id=y",
    "effective=x&include_names=y",
    "is_public=x",
    "minDisk=x",
    "minRam=-9",
    "binary=%00",
    "detailed=x",
    "user_id=%00",
    "tenant_id=x",
    "project_id=" + "y" * 300,
    "=",
    "&&&",
    "%",
    "%00=%00",
    "a[b]=c",
    "x=" + "y" * 7000,
    "%ff=%fe",
    "length=x",
)

RAW_BODIES = (
    b"",
    b" ",
    b"null",
    b"true",
    b"0",
    b"[]",
    b"{}",
    b'"x"',
    b"{",
    b'{"a":',
    b"{'a': 1}",
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b"\xff\xfe\x00",
    b"\xef\xbb\xbf{}",
    b'{"a": "\xff"}',
    b'{"a": "\\ud800"}',
    b"[" * 100_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"server": {"name": "a"}, "server": []}',
    b"<xml/>",
    b"a=b&c=d",
    b'{"a": 1} trailing',
    b'{"a": ' + b"9" * 5000 + b"}",
    b"\0" * 100,
)


class Garbage(msgspec.Struct, frozen=True):
    """One request; `path` is percent-encoded."""

    method: str
    path: str
    body: bytes | None
    version: str
    headers: Mapping[str, str] = {}


class Table:
    """Makes garbage for one route. `seeds` are bodies that a client could send, `known` are ids that exist."""

    def __init__(self, chance: random.Random, seeds: Mapping[str, Any], known: Mapping[str, str]) -> None:
        self._chance, self._seeds, self._known = chance, seeds, known

    def requests(self, method: str, template: str, count: int) -> Iterator[Garbage]:
        """`count` requests for a method and a path template, at least one with each part of it alone being wrong."""
        for number in range(count):
            kind = number % 4
            path = self._path(template, known=kind != 0)
            if kind == 1 and method in ("GET", "HEAD"):
                path += "?" + "&".join(self._chance.sample(QUERIES, self._chance.randint(1, 3)))
            body = None if method in ("GET", "HEAD", "DELETE") and kind != 2 else self._body(method, template, kind)
            version = self._chance.choice(("2.1", "2.36", "2.37", "2.61", "2.79", "2.90", "2.96"))
            yield Garbage(method, path, body, version, {**self._usual_headers(method, template), **self._headers(kind)})

    def _path(self, template: str, *, known: bool) -> str:
        def fill(match: re.Match[str]) -> str:
            name = match[1].split(":")[0]
            key = next((key for key in (f"{template.split('/')[-2]}/{name}", name) if key in self._known), None)
            collection = template[: match.start()].rstrip("/").rsplit("/", 1)[-1]
            found = self._known.get(f"{collection}/{name}", self._known.get(key or "", "x"))
            return found if known and self._chance.random() < 0.9 else self._chance.choice(IDS)

        return re.sub(r"\{([^}]+)\}", fill, template)

    def _usual_headers(self, method: str, template: str) -> Mapping[str, str]:
        """What a client sends with this operation beside its token."""
        if template.endswith("/file"):
            return {"Content-Type": "application/octet-stream"}
        if method == "PATCH" and template.endswith("/images/{image_id}"):
            return {"Content-Type": "application/openstack-images-v2.1-json-patch"}
        if template.endswith("/auth/tokens"):
            return {"X-Subject-Token": self._known["token"]}
        return {"Content-Type": "application/json"}

    def _headers(self, kind: int) -> Mapping[str, str]:
        if kind != 3 or self._chance.random() < 0.7:
            return {}
        return self._chance.choice(
            (
                {"Content-Type": "text/plain"},
                {"Content-Type": "application/openstack-images-v2.1-json-patch"},
                {"Content-Type": "application/octet-stream"},
                {"OpenStack-API-Version": "compute 2.999"},
                {"OpenStack-API-Version": "compute x.y"},
                {"OpenStack-API-Version": "compute latest, volume 3.0"},
                {"If-Match": "revision_number=x"},
                {"If-Match": "revision_number=99999999999999999999"},
                {"X-Openstack-Request-Id": "req-x"},
                {"X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "javascript"},
                {"Range": "bytes=99999-1"},
                {"Accept": "text/html"},
                {"Accept-Encoding": "x"},
                {"X-Subject-Token": "x" * 3000},
            )
        )

    def _body(self, method: str, template: str, kind: int) -> bytes:
        seeds = [body for key, body in self._seeds.items() if key.split("#")[0] == f"{method} {template}"]
        if not seeds or (kind == 3 and self._chance.random() < 0.5):
            return self._chance.choice(RAW_BODIES)
        bent = copy.deepcopy(self._chance.choice(seeds))
        for _ in range(self._chance.choice((0, 1, 1, 1, 2, 4))):
            bent = self._bend(bent)
        return json.dumps(bent).encode()

    def _bend(self, document: Any) -> Any:
        """The document with one place changed."""
        places = list(_places(document, ()))
        if not places:
            return self._chance.choice(LEAVES)
        *way, last = self._chance.choice(places)
        parent = document
        for step in way:
            parent = parent[step]
        what = self._chance.randint(0, 9)
        if what == 0:
            del parent[last]
        elif what == 1 and isinstance(parent, dict):
            parent[self._chance.choice(("extra", "", "id", "tenant_id", "\0", "x" * 300))] = self._leaf()
        elif what == 2:
            parent[last] = [parent[last]]
        elif what == 3 and isinstance(parent, list):
            parent.extend(copy.deepcopy(parent) * 3)
        else:
            parent[last] = self._leaf()
        return document

    def _leaf(self) -> Any:
        return copy.deepcopy(self._chance.choice(LEAVES))


def _places(document: Any, way: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    items: Any = ()
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = enumerate(document)
    for key, value in items:
        yield (*way, key)
        yield from _places(value, (*way, key))
