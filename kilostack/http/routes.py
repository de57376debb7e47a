"""Route tables: a service can be read from one table of method, path, handler and window of microversions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from kilostack.core.errors import BadRequest, Unsupported
from kilostack.http.dialects import Dialect
from kilostack.http.messages import Request, Response, Version
from kilostack.http.microversions import Microversions, parse
from kilostack.http.schemas import Schema

Handler = Callable[[Request], Awaitable[Response]]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One operation. Several routes may share method and path when their windows do not overlap."""

    method: str
    #: template relative to the service's prefix, for example "/servers/{server_id}"; "" is the prefix itself
    path: str
    handler: Handler
    #: first and last microversion, inclusive
    since: str = ""
    until: str = ""
    #: schema of the body, or (first microversion, schema) pairs in rising order
    body: Schema | tuple[tuple[str, Schema], ...] | None = None
    #: answered without a token
    public: bool = False
    #: what documents tell besides: the path with upstream's names of its fields, the policy rules that may be asked,
    #: the names of query parameters, and the statuses other than the usual refusals; () is not told
    shown: str = ""
    rules: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()

    def schema(self, version: Version) -> Schema | None:
        if not isinstance(self.body, tuple):
            return self.body
        found = None
        for since, schema in self.body:
            if version >= parse(since):
                found = schema
        return found

    def offers(self, version: Version) -> bool:
        return (not self.since or version >= parse(self.since)) and (not self.until or version <= parse(self.until))


class Api(msgspec.Struct, frozen=True, kw_only=True):
    """One service's public face."""

    #: service type, for example "compute"
    name: str
    #: for example "/compute/v2.1"
    prefix: str
    routes: Sequence[Route]
    dialect: Dialect
    microversions: Microversions | None = None
    #: a further request id header of old clients, for example "x-compute-request-id"
    request_id_header: str = ""
    #: whether "/things/" means "/things"; where it does not, an empty id is not found, as its clients expect
    lenient_slashes: bool = True


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One key of an action body such as `{"os-stop": null}`."""

    name: str
    handler: Handler
    since: str = ""
    until: str = ""
    body: Schema | tuple[tuple[str, Schema], ...] | None = None


def actions(table: Sequence[Action], known_upstream: frozenset[str]) -> Handler:
    """The handler of an action route. An action known upstream but not here is 501 with its name, any other 400."""
    by_name: Mapping[str, list[Route]] = {}
    by_name = {
        action.name: [
            Route(method="POST", path="", handler=a.handler, since=a.since, until=a.until, body=a.body)
            for a in table
            if a.name == action.name
        ]
        for action in table
    }

    async def handle(request: Request) -> Response:
        document = await request.json()
        if not isinstance(document, dict) or len(document) != 1:
            raise BadRequest("The request body must be an object with exactly one key, the name of the action.")
        name = next(iter(document))
        for route in by_name.get(name, ()):
            if route.offers(request.version):
                if (schema := route.schema(request.version)) is not None:
                    schema.check(document, lenient=request.lenient)
                request.facts["action"] = name
                return await route.handler(_Given(request, document))
        if name in known_upstream and name not in by_name:
            raise Unsupported(f"The action {name} is not implemented by this cloud.", name=name)
        raise BadRequest(f"There is no such action: {name[:64]}.")

    return handle


class _Given(Request):
    """The request of an action, whose body has been read already."""

    __slots__ = ("_document",)

    def __init__(self, request: Request, document: Any) -> None:
        for name in Request.__slots__:
            setattr(self, name, getattr(request, name))
        self._document = document

    async def json(self) -> Any:
        return self._document
