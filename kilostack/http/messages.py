"""Requests and responses as handlers see them, free of the framework that carries them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, TooLarge
from kilostack.http.schemas import Schema

Version = tuple[int, int]
MAX_JSON_BYTES = 1 << 20


class Query:
    """The query string: ordered, names may repeat."""

    __slots__ = ("items",)

    def __init__(self, text: str) -> None:
        self.items: list[tuple[str, str]] = parse_qsl(text, keep_blank_values=True) if text else []

    def first(self, name: str) -> str | None:
        return next((value for key, value in self.items if key == name), None)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.items if key == name]

    def names(self) -> set[str]:
        return {key for key, _ in self.items}

    def without(self, *names: str) -> list[tuple[str, str]]:
        return [(key, value) for key, value in self.items if key not in names]


class Body:
    """The bytes that follow the head; read once."""

    def __init__(self, chunks: AsyncIterator[bytes], length: int | None) -> None:
        self._chunks = chunks
        self.length = length

    def stream(self) -> AsyncIterator[bytes]:
        """The chunks as they arrive; ends early with ConnectionError when the client goes away."""
        return self._chunks

    async def read(self, limit: int = MAX_JSON_BYTES) -> bytes:
        """The whole body. Raises `TooLarge` above `limit` bytes."""
        if self.length is not None and self.length > limit:
            raise TooLarge(f"The request body is {self.length} bytes; at most {limit} are accepted.")
        data = bytearray()
        async for chunk in self._chunks:
            data += chunk
            if len(data) > limit:
                raise TooLarge(f"The request body is longer than {limit} bytes.")
        return bytes(data)


class Request:
    """One request after authentication, microversion and routing."""

    __slots__ = (
        "address",
        "base",
        "body",
        "ctx",
        "facts",
        "headers",
        "lenient",
        "method",
        "params",
        "path",
        "query",
        "root",
        "route",
        "schema",
        "token",
        "version",
    )

    def __init__(self, *, method: str, path: str, headers: Mapping[str, str], query: str, body: Body) -> None:
        self.method = method
        self.path = path
        #: header names in lower case
        self.headers = headers
        self.query = Query(query)
        self.body = body
        #: fields of the path template
        self.params: dict[str, str] = {}
        self.ctx = Context(request_id="")
        #: the microversion asked for; (0, 0) where the API has none
        self.version: Version = (0, 0)
        #: scheme and authority as the client sees them, for example "https://cloud.example:8443"
        self.root = ""
        #: `root` and the service's prefix: what links start with
        self.base = ""
        #: schema of the body for this route and microversion
        self.schema: Schema | None = None
        #: whether keys that the schema does not know are let through
        self.lenient = False
        #: where the request came from, as far as the server knows
        self.address = ""
        #: the token itself; only identity looks at it
        self.token: str | None = None
        #: the operation that was found for it
        self.route: Any = None
        #: what only the handler knows and the audit log is to tell: "action" (key of an action body), "user_id"
        self.facts: dict[str, str] = {}

    async def json(self) -> Any:
        """The body as checked JSON. Raises `BadRequest` naming what is wrong."""
        raw = await self.body.read()
        try:
            document = msgspec.json.decode(raw)
        except msgspec.DecodeError as error:
            raise BadRequest(f"The request body is not valid JSON: {error}.") from None
        except (UnicodeDecodeError, RecursionError):
            raise BadRequest("The request body is not valid JSON in UTF-8.") from None
        if self.schema is not None:
            self.schema.check(document, lenient=self.lenient)
        return document

    def link(self, path: str, query: list[tuple[str, str]] | None = None) -> str:
        """An absolute URL under this service."""
        return f"{self.base}{path}" + (f"?{urlencode(query)}" if query else "")


class Response:
    """What goes back. `body` is bytes (sent as they are) or any value (encoded as JSON); None is an empty body."""

    __slots__ = ("body", "headers", "status", "stream")

    def __init__(
        self,
        status: int,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        stream: AsyncIterator[bytes] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = dict(headers or {})
        self.stream = stream
