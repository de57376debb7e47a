"""Conditions over a column that holds tags as a JSON list of texts.

The wanted tags are one JSON parameter, so that the shape of a statement does not depend on how many there are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, bindparam
from sqlalchemy.ext.compiler import compiles


class _Tagged(ColumnElement[bool]):
    inherit_cache = False

    def __init__(self, column: Any, name: str) -> None:
        self.column = column
        self.wanted: Any = bindparam(name)


class _HasAll(_Tagged):
    inherit_cache = False


class _HasAny(_Tagged):
    inherit_cache = False


def has_all(column: Any) -> Callable[[str], ColumnElement[bool]]:
    """Every wanted tag is there."""
    return lambda name: _HasAll(column, name)


def has_any(column: Any) -> Callable[[str], ColumnElement[bool]]:
    """At least one wanted tag is there."""
    return lambda name: _HasAny(column, name)


def _parts(element: _Tagged, compiler: Any, kw: Any) -> tuple[str, str]:
    return compiler.process(element.column, **kw), compiler.process(element.wanted, **kw)


@compiles(_HasAll, "sqlite")
def _all_sqlite(element: _HasAll, compiler: Any, **kw: Any) -> str:
    column, wanted = _parts(element, compiler, kw)
    own = f"SELECT own.value FROM json_each({column}) AS own"
    return f"(NOT EXISTS (SELECT 1 FROM json_each({wanted}) AS wanted WHERE wanted.value NOT IN ({own})))"


@compiles(_HasAny, "sqlite")
def _any_sqlite(element: _HasAny, compiler: Any, **kw: Any) -> str:
    column, wanted = _parts(element, compiler, kw)
    own = f"SELECT own.value FROM json_each({column}) AS own"
    return f"(EXISTS (SELECT 1 FROM json_each({wanted}) AS wanted WHERE wanted.value IN ({own})))"


@compiles(_HasAll, "mysql")
@compiles(_HasAll, "mariadb")
def _all_mariadb(element: _HasAll, compiler: Any, **kw: Any) -> str:
    column, wanted = _parts(element, compiler, kw)
    return f"(JSON_CONTAINS({column}, {wanted}) = 1)"


@compiles(_HasAny, "mysql")
@compiles(_HasAny, "mariadb")
def _any_mariadb(element: _HasAny, compiler: Any, **kw: Any) -> str:
    column, wanted = _parts(element, compiler, kw)
    return f"(JSON_OVERLAPS({column}, {wanted}) = 1)"
