"""Domains and projects over HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from kilostack.core.errors import BadRequest
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.http.schemas import Schema, objects, wrapped
from kilostack.identity.api.collections import CollectionApi
from kilostack.identity.api.parts import (
    BOOLEAN,
    ID,
    IMMUTABLE_OPTIONS,
    MAYBE_ID,
    MAYBE_TEXT,
    NAME,
    TAG,
    TAGS,
    Shown,
    links,
    pair,
    show_options,
)
from kilostack.identity.api.queries import is_asked
from kilostack.identity.app.domains import Domains
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.project_tags import ProjectTags, Tags
from kilostack.identity.app.project_tree import ProjectTree, Relatives
from kilostack.identity.app.projects import Projects
from kilostack.identity.model.projects import Domain, Project

_NAME = NAME | {"maxLength": 64}

_DOMAIN_FIELDS: dict[str, Any] = {
    "name": _NAME,
    "description": MAYBE_TEXT | {"maxLength": 255},
    "enabled": BOOLEAN,
    "options": IMMUTABLE_OPTIONS,
    "tags": TAGS,
}

DOMAIN = pair("domain", _DOMAIN_FIELDS | {"explicit_domain_id": MAYBE_ID}, ["name"])

_PROJECT_FIELDS: dict[str, Any] = {
    "name": _NAME,
    "domain_id": MAYBE_ID,
    "parent_id": MAYBE_ID,
    "description": MAYBE_TEXT,
    "enabled": BOOLEAN,
    "is_domain": BOOLEAN,
    "options": IMMUTABLE_OPTIONS,
    "tags": TAGS,
}

# a change may be empty, as upstream lets it be
PROJECT = (
    wrapped("project", objects(_PROJECT_FIELDS, ["name"], extra=True)),
    wrapped("project", objects(_PROJECT_FIELDS, extra=True)),
)

#: what lists want of their parameters; others are ignored
_DOMAIN_QUERY = Schema(objects({"name": _NAME}, extra=True))
_PROJECT_QUERY = Schema(objects({"name": _NAME, "domain_id": ID}, extra=True))

_TAGS_BODY = Schema(objects({"tags": TAGS}, ["tags"]))

#: one tag, and all tags of a project, outside a body
_ONE_TAG, _ALL_TAGS = wrapped("tag", TAG), wrapped("tags", TAGS)


def show_domain(record: Domain, base: str) -> Shown:
    return {
        **record.extra,
        "id": record.id,
        "name": record.name,
        "description": record.description,
        "enabled": record.enabled,
        "tags": record.tags,
        "options": show_options(record.immutable),
        "links": links(base, "domains", record.id),
    }


def show_project(record: Project, base: str) -> Shown:
    return {
        **record.extra,
        "id": record.id,
        "name": record.name,
        "domain_id": record.domain_id or None,
        "parent_id": record.parent_id or None,
        "description": record.description,
        "enabled": record.enabled,
        "is_domain": record.is_domain,
        "tags": record.tags,
        "options": show_options(record.immutable),
        "links": links(base, "projects", record.id),
    }


class ProjectsApi(CollectionApi[Project]):
    """Projects, which may be shown with what is above and below them."""

    def __init__(self, projects: Projects) -> None:
        super().__init__(projects, PROJECT, show_project, _PROJECT_QUERY)
        self._projects = projects
        self._tree = ProjectTree(projects)

    async def _show(self, request: Request) -> Response:
        asked = {kind for kind in Relatives if is_asked(request, kind)}
        if not asked:
            return await super()._show(request)
        project, family = await self._tree.family(request.ctx, request.params["record_id"], asked)
        for name in ("parents", "subtree"):
            if {f"{name}_as_list", f"{name}_as_ids"} <= asked:
                raise BadRequest(f"Cannot use {name}_as_list and {name}_as_ids query params at the same time.")
        shown = show_project(project, request.base)
        for kind, found in family.items():
            if isinstance(found, list):
                shown[kind.partition("_")[0]] = [{"project": show_project(one, request.base)} for one in found]
            else:
                shown[kind.partition("_")[0]] = found
        return Response(200, {"project": shown})

    async def _update(self, request: Request) -> Response:
        document = (await request.json())["project"]
        record = await self._projects.update(request.ctx, request.params["record_id"], document)
        # upstream shows what was made up a second time, of users and projects
        return Response(200, {"project": show_project(record, request.base) | {"extra": record.extra}})


class TagsApi:
    """The tags of one project."""

    def __init__(self, tags: ProjectTags) -> None:
        self._tags = tags

    def routes(self) -> tuple[Route, ...]:
        every, one = "/projects/{record_id}/tags", "/projects/{record_id}/tags/{tag}"
        return (
            Route(method="GET", path=every, handler=self._list),
            Route(method="PUT", path=every, handler=self._replace, body=_TAGS_BODY),
            Route(method="DELETE", path=every, handler=self._clear),
            Route(method="GET", path=one, handler=self._check),
            Route(method="PUT", path=one, handler=self._add),
            Route(method="DELETE", path=one, handler=self._drop),
        )

    async def _list(self, request: Request) -> Response:
        return _shown(request, await self._tags.show(request.ctx, request.params["record_id"]))

    async def _replace(self, request: Request) -> Response:
        tags = (await request.json())["tags"]
        return _shown(request, await self._tags.replace(request.ctx, request.params["record_id"], tags))

    async def _clear(self, request: Request) -> Response:
        await self._tags.clear(request.ctx, request.params["record_id"])
        return Response(204)

    async def _check(self, request: Request) -> Response:
        await self._tags.check(request.ctx, request.params["record_id"], request.params["tag"])
        return Response(204)

    async def _add(self, request: Request) -> Response:
        project_id, tag = request.params["record_id"], request.params["tag"]

        def check(tags: Tags) -> None:
            _ONE_TAG.check({"tag": tag})
            _ALL_TAGS.check({"tags": list(tags)})

        await self._tags.add(request.ctx, project_id, tag, check)
        location = request.link(f"/projects/{quote(project_id)}/tags/{quote(tag)}")
        return Response(201, headers={"Location": location})

    async def _drop(self, request: Request) -> Response:
        await self._tags.drop(request.ctx, request.params["record_id"], request.params["tag"])
        return Response(204)


def _shown(request: Request, tags: Tags) -> Response:
    path = f"/projects/{request.params['record_id']}/tags"
    return Response(200, {"tags": tags, "links": {"self": request.link(path)}})


def routes(ground: Ground) -> tuple[Route, ...]:
    """Domains, projects and their tags."""
    projects = Projects(ground)
    return (
        *CollectionApi(Domains(ground), DOMAIN, show_domain, _DOMAIN_QUERY).routes(),
        *ProjectsApi(projects).routes(),
        *TagsApi(ProjectTags(projects)).routes(),
    )
