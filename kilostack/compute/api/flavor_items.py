"""What hangs below a flavor: extra specs, and the projects that may use it."""

from __future__ import annotations

from kilostack.compute.api.schemas import Document, only
from kilostack.compute.app.flavors import Flavors
from kilostack.compute.app.parts import Parts
from kilostack.core.errors import BadRequest, NotFound
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Action, Route, actions
from kilostack.http.schemas import Schema, objects

_KEY = r"^[a-zA-Z0-9-_:. ]{1,255}$"
_SPECS: Document = {
    "type": "object",
    "propertyNames": {"pattern": _KEY},
    "additionalProperties": {"anyOf": [{"type": "string", "maxLength": 255}, {"type": ["number"]}]},
}
_PROJECT = objects(
    {"tenant": {"type": "string", "pattern": "^[a-zA-Z0-9-]*$", "minLength": 1, "maxLength": 255}}, ["tenant"]
)


class FlavorItemsApi:
    """Handlers of /flavors/{flavor_id}/..."""

    def __init__(self, parts: Parts) -> None:
        self._flavors = Flavors(parts)

    def routes(self) -> tuple[Route, ...]:
        one = "/flavors/{flavor_id}"
        access = (
            Action(name="addTenantAccess", handler=self.grant, body=only("addTenantAccess", _PROJECT)),
            Action(name="removeTenantAccess", handler=self.revoke, body=only("removeTenantAccess", _PROJECT)),
        )
        specs = one + "/os-extra_specs"
        one_spec = Schema({**_SPECS, "minProperties": 1, "maxProperties": 1})
        return (
            Route(method="POST", path=one + "/action", handler=actions(access, frozenset())),
            Route(method="GET", path=one + "/os-flavor-access", handler=self.access),
            Route(method="GET", path=specs, handler=self.specs),
            Route(method="POST", path=specs, handler=self.add_specs, body=only("extra_specs", _SPECS)),
            Route(method="GET", path=specs + "/{key}", handler=self.spec),
            Route(method="PUT", path=specs + "/{key}", handler=self.put_spec, body=one_spec),
            Route(method="DELETE", path=specs + "/{key}", handler=self.drop_spec),
        )

    async def specs(self, request: Request) -> Response:
        found = await self._flavors.extra_specs(request.ctx, request.params["flavor_id"], "index")
        return Response(200, {"extra_specs": found})

    async def add_specs(self, request: Request) -> Response:
        given = (await request.json())["extra_specs"]
        specs = {key: str(value) for key, value in given.items()}
        await self._flavors.set_extra_specs(request.ctx, request.params["flavor_id"], specs, "create")
        return Response(200, {"extra_specs": specs})

    async def spec(self, request: Request) -> Response:
        flavor_id, key = request.params["flavor_id"], request.params["key"]
        found = await self._flavors.extra_specs(request.ctx, flavor_id, "show")
        if key not in found:
            raise NotFound(f"Flavor {flavor_id[:64]} has no extra specs with key {key[:64]}.")
        return Response(200, {key: found[key]})

    async def put_spec(self, request: Request) -> Response:
        given = await request.json()
        if request.params["key"] not in given:
            raise BadRequest("Request body and URI mismatch")
        specs = {key: str(value) for key, value in given.items()}
        await self._flavors.set_extra_specs(request.ctx, request.params["flavor_id"], specs, "update")
        return Response(200, specs)

    async def drop_spec(self, request: Request) -> Response:
        await self._flavors.drop_extra_spec(request.ctx, request.params["flavor_id"], request.params["key"])
        return Response(200)

    async def access(self, request: Request) -> Response:
        flavor_id = request.params["flavor_id"]
        return _access(flavor_id, await self._flavors.access(request.ctx, flavor_id))

    async def grant(self, request: Request) -> Response:
        project = (await request.json())["addTenantAccess"]["tenant"]
        flavor_id = request.params["flavor_id"]
        return _access(flavor_id, await self._flavors.grant(request.ctx, flavor_id, project))

    async def revoke(self, request: Request) -> Response:
        project = (await request.json())["removeTenantAccess"]["tenant"]
        flavor_id = request.params["flavor_id"]
        return _access(flavor_id, await self._flavors.revoke(request.ctx, flavor_id, project))


def _access(flavor_id: str, projects: list[str]) -> Response:
    listed = [{"flavor_id": flavor_id, "tenant_id": project} for project in projects]
    return Response(200, {"flavor_access": listed})
