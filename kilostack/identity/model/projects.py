"""Domains and projects, and the tree that they form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

DEFAULT_DOMAIN = "default"

#: ids within ids; None where nothing follows
IdTree = dict[str, Any]


class Domain(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace of users and projects; a disabled one disables both."""

    id: str
    name: str
    description: str | None = ""
    enabled: bool = True
    #: an immutable one is neither changed nor deleted; None was never asked for
    immutable: bool | None = None
    tags: tuple[str, ...] = ()
    #: attributes that clients made up
    extra: dict[str, Any] = {}
    generation: int = 1
    revision: int = 1

    def as_project(self) -> Project:
        """The domain as the root of its projects, which is how the routes of projects show it."""
        return Project(**{name: getattr(self, name) for name in self.__struct_fields__}, domain_id="", parent_id="")


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """An owner of resources. `parent_id` is another project, or the domain at the top.

    A domain that is seen as a project has neither domain nor parent (the empty text); it is never stored as one.
    """

    id: str
    name: str
    domain_id: str
    parent_id: str
    description: str | None = ""
    enabled: bool = True
    #: an immutable one is neither changed nor deleted; None was never asked for
    immutable: bool | None = None
    tags: tuple[str, ...] = ()
    #: attributes that clients made up
    extra: dict[str, Any] = {}
    generation: int = 1
    revision: int = 1

    @property
    def is_domain(self) -> bool:
        return not self.domain_id


def parents_as_ids(parents: Sequence[Project]) -> IdTree | None:
    """Each parent's id within that of the one below it; `parents` begins with the nearest."""
    tree: IdTree | None = None
    for parent in reversed(parents):
        tree = {parent.id: tree}
    return tree


def subtree_as_ids(root_id: str, below: Iterable[Project]) -> IdTree | None:
    """The ids of all projects `below` a root, each within that of its parent."""
    children: dict[str, list[str]] = {}
    for project in below:
        children.setdefault(project.parent_id, []).append(project.id)

    def tree(parent_id: str) -> IdTree | None:
        return {child: tree(child) for child in children[parent_id]} if parent_id in children else None

    return tree(root_id)
