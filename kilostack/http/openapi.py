"""OpenAPI 3.1 documents, made from the route tables: what is served is what is documented."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from kilostack.http.dialects import PLAIN, TITLES
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Api, Route
from kilostack.http.schemas import Schema

_FIELD = re.compile(r"\{(\w+)[^}]*\}")
_READS = {"GET", "HEAD"}
_SUCCESSES = {200: "OK", 201: "Created", 202: "Accepted", 204: "Done; no content", 300: "Choices", 302: "Elsewhere"}
_WITHOUT_BODY = {204, 302}
_TOKEN = "token"


def statuses(route: Route) -> frozenset[int]:
    """With which the operation may end: what the route says, and the usual refusals."""
    ends = frozenset({*route.statuses, 400, 401, 403, 404, 503})
    return ends if route.method in _READS else ends | {409, 413}


def document(name: str, apis: Iterable[Api], version: str) -> dict[str, Any]:
    """The document of one service, with all its APIs."""
    paths: dict[str, dict[str, Any]] = {}
    shown: dict[str, str] = {}
    for api in apis:
        for route in api.routes:
            path = api.prefix + (route.shown or _FIELD.sub(r"{\1}", route.path)) or "/"
            # one path, whatever its routes call its fields
            path = shown.setdefault(_FIELD.sub("{}", path), path)
            operations = paths.setdefault(path, {})
            method = route.method.lower()
            operations[method] = _merged(operations.get(method), _operation(route, path))
    return {
        "openapi": "3.1.0",
        "info": {"title": f"kilostack {name}", "version": version},
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {_TOKEN: {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
            "responses": {"refusal": {"description": "Refused", "content": {"application/json": {}}}},
        },
    }


def _operation(route: Route, path: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{path}").strip("_"),
        "summary": _summary(route, path),
        "responses": _responses(route),
        "security": [] if route.public else [{_TOKEN: []}],
    }
    parameters = [_parameter(name, "path") for name in _FIELD.findall(path)]
    parameters += [_parameter(name, "query") for name in route.query]
    if parameters:
        made["parameters"] = parameters
    if (schema := _newest(route.body)) is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema.document}}}
    if route.rules:
        made["x-policy-rules"] = list(route.rules)
    if route.since or route.until:
        made["x-microversions"] = [{"since": route.since, "until": route.until}]
    return made


def _merged(before: dict[str, Any] | None, after: dict[str, Any]) -> dict[str, Any]:
    """Routes of one operation in several windows: the newest body, the statuses of all."""
    if before is None:
        return after
    windows = before.get("x-microversions", []) + after.get("x-microversions", [])
    return before | after | {"responses": before["responses"] | after["responses"], "x-microversions": windows}


def _summary(route: Route, path: str) -> str:
    if route.rules:
        return route.rules[0].rpartition(":")[2].replace("_", " ").capitalize()
    return f"{route.method} {path}"


def _responses(route: Route) -> dict[str, Any]:
    found = {str(status): _response(status, route.method) for status in sorted(statuses(route))}
    return found if route.statuses else {"2XX": {"description": "Done"}, **found}


def _response(status: int, method: str) -> dict[str, Any]:
    if status >= 400:
        if method == "HEAD":
            return {"description": TITLES.get(status, "Refused")}
        return {"$ref": "#/components/responses/refusal"}
    made: dict[str, Any] = {"description": _SUCCESSES.get(status, "Done")}
    if status not in _WITHOUT_BODY and method != "HEAD":
        made["content"] = {"application/json": {}}
    return made


def _parameter(name: str, where: str) -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "schema": {"type": "string"}}


def _newest(body: Schema | Sequence[tuple[str, Schema]] | None) -> Schema | None:
    if body is None or isinstance(body, Schema):
        return body
    return body[-1][1]


def openapi(apis: Iterable[Api], version: str) -> Api:
    """`GET /openapi/SERVICE.json`, without a token; each made when it is first asked for."""
    by_name: dict[str, list[Api]] = {}
    for api in apis:
        if api.name:
            by_name.setdefault(api.name, []).append(api)
    texts: dict[str, bytes] = {}

    async def show(name: str, request: Request) -> Response:
        if name not in texts:
            texts[name] = msgspec.json.encode(document(name, by_name[name], version))
        return Response(200, texts[name])

    async def index(request: Request) -> Response:
        return Response(200, {"documents": {name: f"{request.base}/{name}.json" for name in by_name}})

    handlers: Mapping[str, Any] = {f"/{name}.json": partial(show, name) for name in by_name}
    routes = [Route(method="GET", path=path, handler=handler, public=True) for path, handler in handlers.items()]
    routes.append(Route(method="GET", path="", handler=index, public=True))
    return Api(name="", prefix="/openapi", dialect=PLAIN, routes=routes)
