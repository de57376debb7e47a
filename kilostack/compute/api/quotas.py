"""Quotas and limits over HTTP; the names shown became fewer with the versions."""

from __future__ import annotations

from typing import Any

from kilostack.compute.api import queries
from kilostack.compute.api.formats import flag
from kilostack.compute.api.schemas import BOOLEAN, body, whole
from kilostack.compute.app.parts import Parts, check
from kilostack.compute.app.quotas import RESOURCES, Quotas
from kilostack.core.errors import BadRequest
from kilostack.http.messages import Request, Response, Version
from kilostack.http.routes import Route
from kilostack.http.schemas import Schema

#: gone with 2.36, and with 2.57
_NETWORK = frozenset({"fixed_ips", "floating_ips", "security_groups", "security_group_rules"})
_FILES = frozenset({"injected_files", "injected_file_content_bytes", "injected_file_path_bytes"})
_LIMIT = whole(-1)
#: limit as /limits shows it -> quota
_MAXIMA = {
    "maxTotalInstances": "instances",
    "maxTotalCores": "cores",
    "maxTotalRAMSize": "ram",
    "maxTotalKeypairs": "key_pairs",
    "maxServerMeta": "metadata_items",
    "maxImageMeta": "metadata_items",
    "maxPersonality": "injected_files",
    "maxPersonalitySize": "injected_file_content_bytes",
    "maxTotalFloatingIps": "floating_ips",
    "maxSecurityGroups": "security_groups",
    "maxSecurityGroupRules": "security_group_rules",
    "maxServerGroups": "server_groups",
    "maxServerGroupMembers": "server_group_members",
}
_USED = {
    "totalInstancesUsed": "instances",
    "totalCoresUsed": "cores",
    "totalRAMUsed": "ram",
    "totalFloatingIpsUsed": "floating_ips",
    "totalSecurityGroupsUsed": "security_groups",
    "totalServerGroupsUsed": "server_groups",
}


def _names(version: Version) -> tuple[str, ...]:
    gone = (_NETWORK if version >= (2, 36) else frozenset()) | (_FILES if version >= (2, 57) else frozenset())
    return tuple(name for name in RESOURCES if name not in gone)


def _update(version: Version) -> Schema:
    return body("quota_set", {**dict.fromkeys(_names(version), _LIMIT), "force": BOOLEAN})


_UPDATE = tuple((f"2.{minor}", _update((2, minor))) for minor in (1, 36, 57))


class QuotasApi:
    """Handlers of /os-quota-sets and /limits."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._quotas = parts, Quotas(parts)

    def routes(self) -> tuple[Route, ...]:
        one = "/os-quota-sets/{target_id}"
        return (
            Route(method="GET", path=one, handler=self.show),
            Route(method="PUT", path=one, handler=self.update, body=_UPDATE),
            Route(method="DELETE", path=one, handler=self.delete),
            Route(method="GET", path=one + "/detail", handler=self.detail),
            Route(method="GET", path=one + "/defaults", handler=self.defaults),
            Route(method="GET", path="/limits", handler=self.limits),
        )

    async def show(self, request: Request) -> Response:
        queries.known(request, {"user_id"})
        project_id = _project(request)
        found = await self._quotas.of(request.ctx, project_id, "os-quota-sets:show")
        shown: dict[str, Any] = {name: found[name].limit for name in _names(request.version)}
        return Response(200, {"quota_set": {"id": project_id, **shown}})

    async def detail(self, request: Request) -> Response:
        queries.known(request, {"user_id"})
        project_id = _project(request)
        found = await self._quotas.of(request.ctx, project_id, "os-quota-sets:detail")
        shown = {
            name: {"limit": found[name].limit, "in_use": found[name].used, "reserved": 0}
            for name in _names(request.version)
        }
        return Response(200, {"quota_set": {"id": project_id, **shown}})

    async def defaults(self, request: Request) -> Response:
        found = self._quotas.defaults(request.ctx)
        shown = {name: found[name] for name in _names(request.version)}
        return Response(200, {"quota_set": {"id": _project(request), **shown}})

    async def update(self, request: Request) -> Response:
        queries.known(request, {"user_id"})
        _refuse_user(request)
        given = dict((await request.json())["quota_set"])
        force = bool(flag(given.pop("force", False)))
        limits = {name: int(value) for name, value in given.items()}
        for name, value in limits.items():
            if not -1 <= value <= 0x7FFFFFFF:
                raise BadRequest(f"Invalid input for field/attribute {name}. Value: {value}.", field=name)
        found = await self._quotas.update(request.ctx, _project(request), limits, force=force)
        return Response(200, {"quota_set": {name: found[name].limit for name in _names(request.version)}})

    async def delete(self, request: Request) -> Response:
        queries.known(request, {"user_id"})
        _refuse_user(request)
        await self._quotas.reset(request.ctx, _project(request))
        return Response(202)

    async def limits(self, request: Request) -> Response:
        queries.known(request, {"tenant_id", "reserved"})
        ctx = request.ctx
        project_id = request.query.first("tenant_id")
        if project_id is not None:
            check(self._parts, ctx, "limits:other_project")
        found = await self._quotas.of(ctx, project_id or ctx.project_id, "limits")
        names = frozenset(_names(request.version))
        shown = {
            public: found[name].limit
            for public, name in _MAXIMA.items()
            if name in names and (public != "maxImageMeta" or request.version < (2, 39))
        }
        shown |= {public: found[name].used for public, name in _USED.items() if name in names}
        return Response(200, {"limits": {"rate": [], "absolute": shown}})


def _project(request: Request) -> str:
    project_id = request.params["target_id"]
    if len(project_id) > 64 or not project_id.replace("-", "").isalnum() or not project_id.isascii():
        raise BadRequest(f"Project ID {project_id[:64]} is not a valid project.")
    return project_id


def _refuse_user(request: Request) -> None:
    if request.query.first("user_id") is not None:
        raise BadRequest("Quotas of single users are not offered by this cloud: leave out user_id.", field="user_id")
