"""Version documents: what clients read, without a token, before they ask anything else.

Each service words its documents differently, and clients know each wording (keystone wraps the list once more and
answers 300, glance answers 300 but 200 under /versions, placement leaves its link empty). A `*_root` function makes the
API at a service's root; a `*_version` function makes the routes to put first into the table of the versioned API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from kilostack.http.dialects import GLANCE, KEYSTONE, NEUTRON, NOVA, PLAIN, Dialect
from kilostack.http.messages import Request, Response
from kilostack.http.microversions import Microversions, show
from kilostack.http.routes import Api, Handler, Route

_NOVA_UPDATED, _NOVA_OLD_UPDATED = "2013-07-23T11:33:21Z", "2011-01-21T11:33:21Z"
_KEYSTONE_VERSION, _KEYSTONE_UPDATED = "v3.14", "2020-04-07T00:00:00Z"

Document = Callable[[Request], Any]


class ServiceRoot(msgspec.Struct, frozen=True):
    """A service as the root of the whole cloud shows it."""

    type: str
    name: str
    path: str


def cloud_root(services: Iterable[ServiceRoot]) -> Api:
    """`GET /`: where each service is."""
    listed = tuple(services)

    def document(request: Request) -> Any:
        return {
            "services": [
                {"type": service.type, "name": service.name, "href": request.root + service.path} for service in listed
            ]
        }

    return _api("", "", PLAIN, _public("", document))


def identity_root() -> Api:
    """`GET /identity`: 300, and the list is wrapped in `values`."""

    def document(request: Request) -> Any:
        return {"versions": {"values": [_keystone(f"{request.root}/identity/v3/")]}}

    async def handle(request: Request) -> Response:
        return Response(300, document(request), headers={"Location": f"{request.root}/identity/v3/"})

    route = Route(method="GET", path="", handler=handle, public=True, statuses=(300,))
    return _api("identity", "/identity", KEYSTONE, route)


def identity_version() -> tuple[Route, ...]:
    """`GET /identity/v3`."""
    return (_public("", lambda request: {"version": _keystone(request.base + "/")}),)


def _keystone(href: str) -> dict[str, Any]:
    return {
        "id": _KEYSTONE_VERSION,
        "status": "stable",
        "updated": _KEYSTONE_UPDATED,
        "links": [{"rel": "self", "href": href}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }


def compute_root(versions: Microversions) -> Api:
    """`GET /compute`."""

    def document(request: Request) -> Any:
        old = _nova_old(f"{request.root}/compute/v2/")
        return {"versions": [old, _nova(versions, f"{request.root}/compute/v2.1/")]}

    return _api("compute", "/compute", NOVA, _public("", document))


def compute_version(versions: Microversions) -> tuple[Route, ...]:
    """`GET /compute/v2.1`, also with a project behind it, as old catalogs have it."""

    def document(request: Request) -> Any:
        return {"version": _nova_whole(_nova(versions, request.base + "/"), "2.1")}

    return _public("", document), _public("/{project_id:uuid}", document)


def compute_old_version() -> tuple[Route, ...]:
    """`GET /compute/v2`: the API as it was before it had microversions."""

    def document(request: Request) -> Any:
        return {"version": _nova_whole(_nova_old(request.base + "/"), "2")}

    return _public("", document), _public("/{project_id:uuid}", document)


def _nova_whole(version: dict[str, Any], number: str) -> dict[str, Any]:
    version["links"].append({"rel": "describedby", "type": "text/html", "href": "http://docs.openstack.org/"})
    version["media-types"] = [
        {"base": "application/json", "type": f"application/vnd.openstack.compute+json;version={number}"}
    ]
    return version


def _nova_old(href: str) -> dict[str, Any]:
    return {
        "id": "v2.0",
        "status": "SUPPORTED",
        "version": "",
        "min_version": "",
        "updated": _NOVA_OLD_UPDATED,
        "links": [{"rel": "self", "href": href}],
    }


def _nova(versions: Microversions, href: str) -> dict[str, Any]:
    return {
        "id": "v2.1",
        "status": "CURRENT",
        "version": show(versions.maximum),
        "min_version": show(versions.minimum),
        "updated": _NOVA_UPDATED,
        "links": [{"rel": "self", "href": href}],
    }


def network_root() -> Api:
    """`GET /network`."""

    def document(request: Request) -> Any:
        href = f"{request.root}/network/v2.0/"
        return {"versions": [{"id": "v2.0", "status": "CURRENT", "links": [{"rel": "self", "href": href}]}]}

    return _api("network", "/network", NEUTRON, _public("", document))


def network_version(collections: Sequence[tuple[str, str]]) -> tuple[Route, ...]:
    """`GET /network/v2.0`: the collections, as (singular, plural) pairs such as ("port", "ports")."""

    def document(request: Request) -> Any:
        return {
            "resources": [
                {
                    "name": name,
                    "collection": collection,
                    "links": [{"rel": "self", "href": f"{request.base}/{collection.replace('_', '-')}"}],
                }
                for name, collection in collections
            ]
        }

    return (_public("", document),)


def image_root(current: int) -> Api:
    """`GET /image` (300) and `GET /image/versions` (200): every minor version from 2.0 to 2.`current`, newest first."""

    def document(request: Request) -> Any:
        links = [{"rel": "self", "href": f"{request.root}/image/v2/"}]
        return {
            "versions": [
                {"id": f"v2.{minor}", "status": "CURRENT" if minor == current else "SUPPORTED", "links": links}
                for minor in range(current, -1, -1)
            ]
        }

    return _api("image", "/image", GLANCE, _public("", document, 300), _public("/versions", document))


def _api(name: str, prefix: str, dialect: Dialect, *routes: Route) -> Api:
    return Api(name=name, prefix=prefix, dialect=dialect, routes=routes)


def _public(path: str, document: Document, status: int = 200) -> Route:
    return Route(method="GET", path=path, handler=_answer(document, status), public=True)


def _answer(document: Document, status: int) -> Handler:
    async def handle(request: Request) -> Response:
        return Response(status, document(request))

    return handle
