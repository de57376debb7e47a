"""The ASGI application: request ids, tokens, microversions, dispatch, errors in the service's dialect, one log line.

Falcon carries and routes; handlers see `Request` and return `Response`.
"""

from __future__ import annotations

import functools
import itertools
import logging
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import falcon
import falcon.asgi
import msgspec

from kilostack.core import errors
from kilostack.core.access_rules import AccessRule, permits
from kilostack.core.context import Context
from kilostack.core.world import World
from kilostack.http.authentication import Authenticator
from kilostack.http.dialects import PLAIN, Dialect, keystone_body
from kilostack.http.messages import Body, Request, Response
from kilostack.http.origin import root
from kilostack.http.routes import Api, Route

_GLOBAL_ID = re.compile(r"req-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LOG = logging.getLogger("kilostack.http")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_READS = {"GET", "HEAD"}
_NO_BODY = {204, 304}
#: where a service was put beside others: rules about access name paths without it
_MOUNT = re.compile(r"/(?!v\d)[^/]+")
#: who bears a token may always learn what it says
_OWN_TOKEN = "/v3/auth/tokens"
_FIELD = re.compile(r"\{(\w+)(:\w+)?\}")
_LONGEST_MESSAGE = 2000


class Observer:
    """Is told of every answered request; the default does nothing."""

    def answered(self, service: str, request: Request, status: int, seconds: float) -> None:
        """Called once per request, after the answer is made."""


class Auditor(Protocol):
    """Remembers what was changed, and by whom."""

    async def answered(self, api: Api, request: Request, response: Response) -> None:
        """Called once per request, before its answer leaves; must not raise."""


class Parts(msgspec.Struct, frozen=True):
    """What all services of an application stand on."""

    authenticator: Authenticator
    world: World
    observer: Observer
    auditor: Auditor | None = None


class Service:
    """The shared part of all resources: who asks, which route, what went wrong."""

    def __init__(self, api: Api, parts: Parts) -> None:
        self.api, self._authenticator, self._world = api, parts.authenticator, parts.world
        self._observer, self._auditor = parts.observer, parts.auditor

    async def answer(
        self, req: _Carried, resp: falcon.asgi.Response, routes: Sequence[Route], fields: dict[str, str]
    ) -> None:
        started = self._world.monotonic()
        if not self.api.lenient_slashes and routes[0].path and req.scope["path"].endswith("/"):
            routes = _NOWHERE
        request = _request(req, fields)
        request_id = "req-" + self._world.new_id()
        request.ctx = Context(request_id=request_id)
        echo: dict[str, str] = {}
        try:
            response = await self._handled(request, routes, echo)
        except errors.Error as error:
            response = self.failed(error, request)
        except ConnectionError:
            response = Response(400)
        except Exception:
            _LOG.exception("unexpected error", extra={"request_id": request_id, "path": request.path})
            response = self.failed(_Unexpected(request_id), request)
        headers = echo | {"x-openstack-request-id": request_id}
        if self.api.request_id_header:
            headers[self.api.request_id_header] = request_id
        _send(response, resp, headers, head=request.method == "HEAD")
        if self._auditor is not None and (request.method not in _READS or request.facts):
            await self._auditor.answered(self.api, request, response)
        self._observer.answered(self.api.name, request, response.status, self._world.monotonic() - started)

    async def _handled(self, request: Request, routes: Sequence[Route], echo: dict[str, str]) -> Response:
        if (versions := self.api.microversions) is not None:
            try:
                request.version = versions.asked(dict(request.headers))
            except errors.NotAcceptable:
                echo.update(
                    versions.echo(versions.maximum)
                    | {"OpenStack-API-Version": f"{versions.service_type} {versions.maximum[0]}.{versions.maximum[1]}"}
                )
                raise
            echo.update(versions.echo(request.version))
        method = request.method if request.method != "HEAD" or any(r.method == "HEAD" for r in routes) else "GET"
        route = request.route = next((r for r in routes if r.method == method and r.offers(request.version)), None)
        if route is None or not route.public:
            # before the 404, so that nobody learns the routes without a token
            await self._authenticate(request)
        if route is None:
            raise self._no_route(request, routes)
        request.params = _named(route.path, request.params)
        request.base = request.root + self.api.prefix
        request.schema = route.schema(request.version)
        return await route.handler(request)

    async def _authenticate(self, request: Request) -> None:
        token = request.headers.get("x-auth-token")
        if not token:
            raise errors.Unauthenticated("The request you have made requires authentication.")
        verified = await self._authenticator.context(token, writing=request.method not in _READS)
        if verified.access_rules is not None:
            await self._check_access_rules(verified.access_rules, request)
        inbound = request.headers.get("x-openstack-request-id", "")
        request.token = token
        request.ctx = msgspec.structs.replace(
            verified,
            request_id=request.ctx.request_id,
            global_request_id=inbound if _GLOBAL_ID.fullmatch(inbound) else None,
            access_rules=None,
        )

    async def _check_access_rules(self, rules: Sequence[AccessRule], request: Request) -> None:
        """Raise `Unauthenticated`, as upstream's middleware does, when the credential is not for this request."""
        mount = _MOUNT.match(self.api.prefix)
        path = request.path.removeprefix(mount[0] if mount else "") or "/"
        if permits(rules, self.api.name, request.method, path):
            return
        if self.api.name == "identity" and request.method == "GET" and path == _OWN_TOKEN:
            return
        if service := request.headers.get("x-service-token"):
            # a service goes on with what its own caller was let through for
            bearer = await self._authenticator.context(service, writing=False)
            if "service" in bearer.roles and bearer.access_rules is None:
                return
        raise errors.Unauthenticated("The request you have made requires authentication.")

    async def refuse(self, req: _Carried, resp: falcon.asgi.Response, error: falcon.HTTPError) -> None:
        """Answer what the framework has refused by itself, before it looked for a route."""
        method = req.method
        # what it does not know at all is 400 to it
        status = 405 if error.status_code in (400, 405) else error.status_code
        facts = {"allow": ", ".join(_METHODS)} if status == 405 else {}

        async def refused(request: Request) -> Response:
            text = f"Method {method} is not allowed here." if facts else error.title or "The request is refused."
            raise errors.BadRequest(text, status=status, **facts)

        await self.answer(req, resp, (Route(method=method, path="", handler=refused, public=True),), {})

    @staticmethod
    def _no_route(request: Request, routes: Sequence[Route]) -> errors.Error:
        if any(route.method == request.method for route in routes):
            return errors.NotFound("The resource could not be found.")
        offered = sorted({route.method for route in routes})
        return errors.BadRequest(
            f"Method {request.method} is not allowed here; use {', '.join(offered)}.",
            status=405,
            allow=", ".join(offered),
        )

    def failed(self, error: errors.Error, request: Request) -> Response:
        """The answer to an error, in the dialect of this service."""
        dialect: Dialect = self.api.dialect
        if len(error.message) > _LONGEST_MESSAGE:
            # it repeats what was sent: a megabyte sent is not a megabyte sent back
            error.message = error.message[:_LONGEST_MESSAGE] + "..."
        status = dialect.status(error)
        headers: dict[str, str] = {}
        if isinstance(error, errors.Unauthenticated):
            # every service answers a missing token as the identity middleware does
            headers["WWW-Authenticate"] = f'Keystone uri="{request.root}/identity"'
            return Response(
                status,
                keystone_body(error, status, request.ctx.request_id),
                headers=headers | error.facts.get("headers", {}),
            )
        if isinstance(error, errors.Unavailable) or "retry_after_s" in error.facts:
            headers["Retry-After"] = str(error.facts.get("retry_after_s", 1))
        if "allow" in error.facts:
            headers["Allow"] = error.facts["allow"]
        return Response(status, dialect.body(error, status, request.ctx.request_id), headers=headers)


class _Unexpected(errors.Error):
    """A bug: the caller gets the request id, the log gets the rest."""

    def __init__(self, request_id: str) -> None:
        super().__init__(f"Unexpected error. The log has more under {request_id}.", status=500)


def _request(req: _Carried, fields: dict[str, str]) -> Request:
    headers = req.headers_lower
    length = headers.get("content-length")
    request = Request(
        method=req.method,
        path=req.path,
        headers=headers,
        query=req.query_string,
        body=Body(_chunks(req), int(length) if length and length.isdigit() else None),
    )
    request.params = fields
    request.address = req.remote_addr
    request.root = root(headers, req.scheme, _reached(req))
    return request


def _reached(req: _Carried) -> str:
    """The authority at which the connection has reached us, whatever its requests say."""
    host, port = req.scope.get("server") or ("localhost", None)
    if port is None:
        return "localhost"
    shown = f"[{host}]" if ":" in host else host
    return shown if port == {"http": 80, "https": 443}.get(req.scheme) else f"{shown}:{port}"


class _Carried(falcon.asgi.Request):
    """A request whose events can be read: Falcon's own stream ends quietly when the client goes away half-way."""

    def __init__(self, scope: Any, receive: Any, first_event: Any = None, options: Any = None) -> None:
        super().__init__(scope, receive, first_event=first_event, options=options)
        self.event, self.receive = first_event, receive


async def _chunks(req: _Carried) -> AsyncIterator[bytes]:
    event = req.event
    while True:
        if event["type"] == "http.disconnect":
            raise ConnectionError("the client went away before the end of the body")
        if chunk := event.get("body"):
            yield chunk
        if not event.get("more_body"):
            return
        event = await req.receive()


def _send(response: Response, resp: falcon.asgi.Response, headers: dict[str, str], *, head: bool) -> None:
    resp.status = response.status
    for name, value in {**headers, **response.headers}.items():
        # the framework takes a cookie only as a header that may come again
        (resp.append_header if name == "Set-Cookie" else resp.set_header)(name, value)
    if response.stream is not None and not head:
        resp.stream = response.stream
        return
    body = response.body
    if body is not None and not isinstance(body, bytes):
        body = msgspec.json.encode(body)
    if body is None or response.status in _NO_BODY:
        resp.data = b""
        if response.status not in _NO_BODY and "Content-Length" not in response.headers:
            resp.set_header("Content-Length", "0")
        return
    if "Content-Type" not in response.headers:
        resp.content_type = "application/json"
    if head:
        resp.set_header("Content-Length", str(len(body)))
        return
    resp.data = body


def _resource(service: Service, routes: Sequence[Route]) -> Any:
    """A Falcon resource for the routes of one path; it answers every method, so that 405 has the right dialect."""

    async def respond(self: Any, req: _Carried, resp: falcon.asgi.Response, **fields: str) -> None:
        await service.answer(req, resp, routes, fields)

    return type("Resource", (), {f"on_{method.lower()}": respond for method in _METHODS})()


def make_app(
    apis: Sequence[Api],
    authenticator: Authenticator,
    world: World,
    observer: Observer | None = None,
    auditor: Auditor | None = None,
) -> Any:
    """An ASGI application that serves `apis`, each under its prefix."""
    parts = Parts(authenticator, world, observer or Observer(), auditor)
    app = falcon.asgi.App(request_type=_Carried)
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.auto_parse_form_urlencoded = False
    # of two sinks that match, Falcon takes the one added last: nobody's first, the longest prefix last
    nobody = Service(Api(name="", prefix="", routes=(), dialect=PLAIN), parts)
    app.add_sink(_sink(nobody), r"/")
    services = [nobody]
    for api in sorted(apis, key=lambda api: len(api.prefix)):
        service = Service(api, parts)
        services.append(service)
        by_path: dict[str, list[Route]] = {}
        for route in api.routes:
            by_path.setdefault(_numbered(route.path), []).append(route)
        for path, routes in by_path.items():
            app.add_route(api.prefix + path or "/", _resource(service, routes))
        app.add_sink(_sink(service), re.escape(api.prefix) + r"(?:/|$)" if api.prefix else r"/")

    async def refused(req: _Carried, resp: falcon.asgi.Response, error: falcon.HTTPError, params: Any) -> None:
        named = (service for service in reversed(services) if f"{req.path}/".startswith(service.api.prefix + "/"))
        await next(named, nobody).refuse(req, resp, error)

    app.add_error_handler(falcon.HTTPError, refused)
    return app


def _numbered(path: str) -> str:
    """The template with numbers for the names of its fields: routes that begin alike may name them differently."""
    numbers = itertools.count()
    return _FIELD.sub(lambda field: f"{{f{next(numbers)}{field[2] or ''}}}", path)


@functools.cache
def _names(path: str) -> tuple[str, ...]:
    return tuple(field[1] for field in _FIELD.finditer(path))


def _named(path: str, fields: dict[str, str]) -> dict[str, str]:
    """What was found under numbers, under the names of the template."""
    return {name: fields[f"f{number}"] for number, name in enumerate(_names(path))} if fields else fields


def _sink(service: Service) -> Any:
    async def sink(req: _Carried, resp: falcon.asgi.Response, **fields: str) -> None:
        await service.answer(req, resp, _NOWHERE, {})

    return sink


async def _nowhere(request: Request) -> Response:
    raise errors.NotFound("The resource could not be found.")


_NOWHERE = tuple(Route(method=method, path="", handler=_nowhere) for method in _METHODS)
