"""Domains, projects and users."""

from __future__ import annotations

from typing import Any

import msgspec

DEFAULT_DOMAIN = "default"


class Domain(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace of users and projects; a disabled one disables both."""

    id: str
    name: str
    description: str = ""
    enabled: bool = True
    generation: int = 1
    revision: int = 1


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """An owner of resources. `parent_id` is another project, or the domain at the top."""

    id: str
    name: str
    domain_id: str
    parent_id: str
    description: str = ""
    enabled: bool = True
    tags: tuple[str, ...] = ()
    #: attributes that clients made up
    extra: dict[str, Any] = {}
    generation: int = 1
    revision: int = 1


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who can log in. `password_hash` is argon2's own text; None cannot log in by password."""

    id: str
    name: str
    domain_id: str
    enabled: bool = True
    default_project_id: str | None = None
    password_hash: str | None = None
    #: attributes that clients made up, `description` and `email` among them
    extra: dict[str, Any] = {}
    generation: int = 1
    revision: int = 1
