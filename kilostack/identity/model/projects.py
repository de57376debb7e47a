"""Domains and projects."""

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
