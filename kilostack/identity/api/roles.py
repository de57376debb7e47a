"""Roles over HTTP."""

from __future__ import annotations

from kilostack.http.routes import Route
from kilostack.http.schemas import objects
from kilostack.identity.api.collections import CollectionApi
from kilostack.identity.api.parts import MAYBE_TEXT, NAME, Shown, links, pair
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.roles import Roles
from kilostack.identity.model.roles import Role

ROLE = pair(
    "role",
    {
        "name": NAME,
        "description": MAYBE_TEXT,
        "domain_id": {"type": "null"},
        "options": objects({"immutable": {"type": ["boolean", "null"]}}),
    },
    ["name"],
    extra=False,
)


def show_role(record: Role, base: str) -> Shown:
    return {
        "id": record.id,
        "name": record.name,
        "domain_id": None,
        "description": record.description,
        "options": {"immutable": True} if record.immutable else {},
        "links": links(base, "roles", record.id),
    }


def routes(ground: Ground) -> tuple[Route, ...]:
    """Roles."""
    return CollectionApi(Roles(ground), ROLE, show_role).routes()
