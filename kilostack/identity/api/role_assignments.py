"""The list of role assignments over HTTP."""

from __future__ import annotations

import re

from kilostack.core.errors import BadRequest
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.identity.api.collections import page
from kilostack.identity.api.parts import Shown
from kilostack.identity.api.queries import is_asked
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.role_assignments import Names, RoleAssignments, Wanted
from kilostack.identity.model.assignments import Effective, Place

_ID = re.compile(r"[a-zA-Z0-9-]{1,64}")
_INHERITED_TO = "scope.OS-INHERIT:inherited_to"


def show_assignment(each: Effective, names: Names | None, base: str) -> Shown:
    """One role assignment; with names when they are given."""
    place = each.place
    shown: Shown = {"links": _links(each, base), "role": {"id": each.role_id}, each.actor_kind: {"id": each.actor_id}}
    shown["scope"] = {"system": {"all": True}} if place.kind == "system" else {place.kind: {"id": place.id}}
    if each.assignment.inherited:
        shown["scope"]["OS-INHERIT:inherited_to"] = "projects"
    if names is not None:
        _name(shown, each, names)
    return shown


def _links(each: Effective, base: str) -> Shown:
    """Where what was given can be taken away, whose membership counts, and which role brought this one along.

    The last one is Keystone's, and leads nowhere there, too.
    """
    made = each.assignment
    where = "system" if made.scope_kind == "system" else f"{made.scope_kind}s/{made.scope_id}"
    path = f"{where}/{made.actor_kind}s/{made.actor_id}/roles/{each.prior_id or each.role_id}"
    links = {"assignment": f"{base}/OS-INHERIT/{path}/inherited_to_projects" if made.inherited else f"{base}/{path}"}
    if made.actor_kind != each.actor_kind:
        links["membership"] = f"{base}/groups/{made.actor_id}/users/{each.actor_id}"
    if each.prior_id is not None:
        links["prior_role"] = f"{base}/prior_role/{each.role_id}/implies/{each.prior_id}"
    return links


def _name(shown: Shown, each: Effective, names: Names) -> None:
    if (role := names.roles.get(each.role_id)) is not None:
        shown["role"]["name"] = role.name
        if role.domain_id:
            shown["role"]["domain"] = _domain(role.domain_id, names)
    actor = (names.users if each.actor_kind == "user" else names.groups).get(each.actor_id)
    if actor is None:
        shown[each.actor_kind] |= {"name": "", "domain": {"id": "", "name": ""}}
    else:
        shown[each.actor_kind] |= {"name": actor.name, "domain": _domain(actor.domain_id, names)}
    if each.place.kind == "project" and (project := names.projects.get(each.place.id)) is not None:
        shown["scope"]["project"] |= {"name": project.name, "domain": _domain(project.domain_id, names)}
    if each.place.kind == "domain":
        shown["scope"]["domain"] = _domain(each.place.id, names)


def _domain(domain_id: str, names: Names) -> Shown:
    found = names.domains.get(domain_id)
    return {"id": domain_id} | ({} if found is None else {"name": found.name})


class RoleAssignmentsApi:
    """One list with many filters."""

    def __init__(self, assignments: RoleAssignments) -> None:
        self._assignments = assignments

    def routes(self) -> tuple[Route, ...]:
        return (Route(method="GET", path="/role_assignments", handler=self._list),)

    async def _list(self, request: Request) -> Response:
        found, names = await self._assignments.page(request.ctx, _wanted(request))
        named = names if is_asked(request, "include_names") else None
        shown = [show_assignment(each, named, request.base) for each in found]
        return Response(200, page(request, "/role_assignments", "role_assignments", shown))


def _wanted(request: Request) -> Wanted:
    query = request.query
    places = []
    if (project_id := _id(request, "scope.project.id")) is not None:
        places.append(Place("project", project_id))
    if (domain_id := _id(request, "scope.domain.id")) is not None:
        places.append(Place("domain", domain_id))
    if query.first("scope.system"):
        places.append(Place("system"))
    if len(places) > 1:
        raise BadRequest(f"Specify {places[0].kind} or {places[1].kind}, not both")
    inherited = query.first(_INHERITED_TO)
    return Wanted(
        user_id=query.first("user.id") or None,
        group_id=query.first("group.id") or None,
        role_id=query.first("role.id") or None,
        # one other than "all" is ignored, once it has been found not to contradict
        place=None if query.first("scope.system") not in (None, "", "all") else next(iter(places), None),
        inherited=None if inherited is None else inherited == "projects",
        effective=is_asked(request, "effective"),
        subtree=is_asked(request, "include_subtree"),
    )


def _id(request: Request, name: str) -> str | None:
    value = request.query.first(name)
    if value is not None and not _ID.fullmatch(value):
        raise BadRequest(f"Invalid input for field/attribute {name}. Value: {value[:64]}. It is not an id.", field=name)
    return value


def routes(ground: Ground) -> tuple[Route, ...]:
    """The list of role assignments."""
    return RoleAssignmentsApi(RoleAssignments(ground)).routes()
