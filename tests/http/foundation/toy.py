"""A small API in every dialect, for tests of what all services share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from kilostack.core import errors
from kilostack.core.world import World
from kilostack.http.app import Observer, make_app
from kilostack.http.dialects import GLANCE, KEYSTONE, NEUTRON, NOVA, Dialect
from kilostack.http.messages import Request, Response
from kilostack.http.microversions import Microversions
from kilostack.http.routes import Action, Api, Route, actions
from kilostack.http.schemas import objects, wrapped
from tests.http.cloud import Client, Personas

DIALECTS: dict[str, Dialect] = {
    "identity": KEYSTONE,
    "compute": NOVA,
    "network": NEUTRON,
    "image": GLANCE,
}
_VERSIONS = {
    "compute": Microversions("compute", (2, 1), (2, 96), "x-openstack-nova-api-version"),
}
THING = wrapped(
    "thing",
    objects({"name": {"type": "string", "maxLength": 5}, "size": {"type": "integer", "minimum": 1}}, ["name"]),
)
#: error kind -> what the handler raises
RAISED: dict[str, errors.Error] = {
    "bad": errors.BadRequest("bad", field="name"),
    "large": errors.TooLarge("large"),
    "forbidden": errors.Forbidden("forbidden"),
    "quota": errors.OverQuota("quota", resource="things"),
    "missing": errors.NotFound("missing"),
    "conflict": errors.Conflict("conflict"),
    "stale": errors.StaleGeneration("stale"),
    "media": errors.UnsupportedMedia("media"),
    "precondition": errors.PreconditionFailed("precondition"),
    "unsupported": errors.Unsupported("unsupported"),
    "unavailable": errors.Unavailable("unavailable", retry_after_s=7),
    "gone": errors.NotFound("gone", status=410),
    "refused": errors.Refused("refused"),
}


async def show(request: Request) -> Response:
    """What the handler saw."""
    return Response(
        200,
        {
            "id": request.params["id"],
            "query": request.query.items,
            "version": request.version,
            "self": request.link(f"/things/{request.params['id']}", [("a", "b c")]),
            "ids": [request.ctx.request_id, request.ctx.global_request_id],
        },
    )


async def create(request: Request) -> Response:
    return Response(202, await request.json(), headers={"Location": request.link("/things/1")})


async def fail(request: Request) -> Response:
    if request.params["kind"] == "bug":
        raise RuntimeError("a bug")
    raise RAISED[request.params["kind"]]


async def empty(request: Request) -> Response:
    return Response(204)


async def stream(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    return Response(200, headers={"Content-Type": "text/plain"}, stream=pieces())


async def act(request: Request) -> Response:
    return Response(202, {"did": await request.json()})


ACT = actions(
    (
        Action(name="stop", handler=act),
        Action(name="late", handler=act, since="2.10"),
        Action(name="checked", handler=act, body=wrapped("checked", objects({"n": {"type": "integer"}}, ["n"]))),
    ),
    frozenset({"stop", "late", "os-rescue"}),
)


def api(name: str) -> Api:
    return Api(
        name=name,
        prefix=f"/{name}/v9",
        dialect=DIALECTS[name],
        microversions=_VERSIONS.get(name),
        request_id_header="x-compute-request-id" if name == "compute" else "",
        routes=(
            Route(method="GET", path="/things/{id}", handler=show),
            Route(method="DELETE", path="/things/{id}", handler=empty),
            Route(method="POST", path="/things", handler=create, body=THING),
            Route(method="GET", path="/things/{id}/late", handler=show, since="2.10", until="2.20"),
            Route(method="POST", path="/things/{id}/action", handler=ACT),
            Route(method="GET", path="/fail/{kind}", handler=fail),
            Route(method="GET", path="/stream", handler=stream),
            Route(method="GET", path="/public", handler=empty, public=True),
        ),
    )


class Watcher(Observer):
    def __init__(self) -> None:
        self.seen: list[tuple[str, str, int]] = []

    def answered(self, service: str, request: Request, status: int, seconds: float) -> None:
        self.seen.append((service, request.path, status))


def app(world: World, watcher: Observer | None = None) -> Any:
    return make_app([api(name) for name in DIALECTS], Personas(), world, watcher)


def client(world: World, watcher: Observer | None = None) -> Client:
    return Client(app(world, watcher))
