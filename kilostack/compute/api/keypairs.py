"""Key pairs over HTTP."""

from __future__ import annotations

from typing import Any

from kilostack.compute.api import queries
from kilostack.compute.api.formats import time_fraction
from kilostack.compute.api.schemas import Document, body
from kilostack.compute.app.keypairs import Keypairs
from kilostack.compute.app.parts import Parts
from kilostack.compute.model.records import Keypair
from kilostack.core.errors import BadRequest
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route

_TEXT: Document = {"type": "string"}
_TYPE: Document = {"enum": ["ssh", "x509"]}


def _name(extra: str) -> Document:
    letter = f"[a-zA-Z0-9_{extra}-]"
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "pattern": f"^{letter}([a-zA-Z0-9 _{extra}-]*{letter})?$",
    }


_OLD, _NEW = {"name": _name(""), "public_key": _TEXT}, {"name": _name("@."), "public_key": _TEXT}
_CREATE = (
    ("2.1", body("keypair", _OLD, ("name",))),
    ("2.2", body("keypair", {**_OLD, "type": _TYPE}, ("name",))),
    ("2.10", body("keypair", {**_OLD, "type": _TYPE, "user_id": _TEXT}, ("name",))),
    ("2.92", body("keypair", {**_NEW, "type": _TYPE, "user_id": _TEXT}, ("name", "public_key"))),
)


class KeypairsApi:
    """Handlers of /os-keypairs."""

    def __init__(self, parts: Parts) -> None:
        self._keypairs = Keypairs(parts)

    def routes(self) -> tuple[Route, ...]:
        one = "/os-keypairs/{name}"
        return (
            Route(method="GET", path="/os-keypairs", handler=self.index),
            Route(method="POST", path="/os-keypairs", handler=self.create, body=_CREATE),
            Route(method="GET", path=one, handler=self.show),
            Route(method="DELETE", path=one, handler=self.delete),
        )

    async def index(self, request: Request) -> Response:
        queries.known(request, {"user_id", "limit", "marker"})
        found = await self._keypairs.every(request.ctx, _user(request))
        paged = request.version >= (2, 35)
        if paged:
            found = _page(request, found)
        shown = [{"keypair": _shown(request, keypair)} for keypair in found]
        answer: dict[str, Any] = {"keypairs": shown}
        if paged and (links := queries.next_link(request, "/os-keypairs", found, found[-1].name if found else "")):
            answer["keypairs_links"] = links
        return Response(200, answer)

    async def create(self, request: Request) -> Response:
        given = (await request.json())["keypair"]
        if given.get("type", "ssh") != "ssh":
            raise BadRequest("Key pairs of type x509 are not offered by this cloud: use ssh.", field="type")
        public_key = given.get("public_key")
        made, private = await self._keypairs.add(request.ctx, given.get("user_id"), given["name"], public_key)
        shown = {**_shown(request, made), "user_id": made.user_id}
        if private is not None:
            shown["private_key"] = private
        return Response(200 if request.version < (2, 2) else 201, {"keypair": shown})

    async def show(self, request: Request) -> Response:
        queries.known(request, {"user_id"})
        found = await self._keypairs.get(request.ctx, _user(request), request.params["name"])
        shown = {
            **_shown(request, found),
            "user_id": found.user_id,
            "id": found.number,
            "created_at": time_fraction(found.created_at),
            "updated_at": None,
            "deleted": False,
            "deleted_at": None,
        }
        return Response(200, {"keypair": shown})

    async def delete(self, request: Request) -> Response:
        queries.known(request, {"user_id"})
        await self._keypairs.remove(request.ctx, _user(request), request.params["name"])
        return Response(202 if request.version < (2, 2) else 204)


def _user(request: Request) -> str | None:
    """Whose key pairs an administrator asks for."""
    return request.query.first("user_id") if request.version >= (2, 10) else None


def _page(request: Request, found: list[Keypair]) -> list[Keypair]:
    if (marker := queries.marker(request)) is not None:
        if all(keypair.name != marker for keypair in found):
            raise BadRequest(f"marker [{marker[:64]}] not found", field="marker")
        found = [keypair for keypair in found if keypair.name > marker]
    return found[: queries.limit(request)]


def _shown(request: Request, keypair: Keypair) -> dict[str, Any]:
    shown = {"name": keypair.name, "public_key": keypair.public_key, "fingerprint": keypair.fingerprint}
    if request.version >= (2, 2):
        shown["type"] = keypair.type
    return shown
