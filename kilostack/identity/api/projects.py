"""Domains and projects over HTTP."""

from __future__ import annotations

from kilostack.http.routes import Route
from kilostack.identity.api.collections import CollectionApi
from kilostack.identity.api.parts import BOOLEAN, MAYBE_ID, MAYBE_TEXT, NAME, NO_OPTIONS, TAGS, Shown, links, pair
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.projects import Domains, Projects
from kilostack.identity.model.projects import Domain, Project

DOMAIN = pair(
    "domain",
    {
        "name": NAME | {"maxLength": 64},
        "description": MAYBE_TEXT,
        "enabled": BOOLEAN,
        "options": NO_OPTIONS,
        "tags": {"type": "array", "maxItems": 0},
    },
    ["name"],
    extra=False,
)


PROJECT = pair(
    "project",
    {
        "name": NAME | {"maxLength": 64},
        "domain_id": MAYBE_ID,
        "parent_id": MAYBE_ID,
        "description": MAYBE_TEXT,
        "enabled": BOOLEAN,
        "is_domain": {"const": False},
        "options": NO_OPTIONS,
        "tags": TAGS,
    },
    ["name"],
)


def show_domain(record: Domain, base: str) -> Shown:
    return {
        "id": record.id,
        "name": record.name,
        "description": record.description,
        "enabled": record.enabled,
        "tags": [],
        "options": {},
        "links": links(base, "domains", record.id),
    }


def show_project(record: Project, base: str) -> Shown:
    return {
        **record.extra,
        "id": record.id,
        "name": record.name,
        "domain_id": record.domain_id,
        "parent_id": record.parent_id,
        "description": record.description,
        "enabled": record.enabled,
        "is_domain": False,
        "tags": record.tags,
        "options": {},
        "links": links(base, "projects", record.id),
    }


def routes(ground: Ground) -> tuple[Route, ...]:
    """Domains and projects."""
    return (
        *CollectionApi(Domains(ground), DOMAIN, show_domain).routes(),
        *CollectionApi(Projects(ground), PROJECT, show_project).routes(),
    )
