"""Statements written with SQLAlchemy Core, compiled once per dialect and run on the bare driver.

Columns hold integers and text only: times are microseconds, booleans 0 or 1, structures JSON text. So no value needs
SQLAlchemy's processing, and a compiled statement is its text and the order of its parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import BigInteger, Column, ColumnElement, Integer, String, Text, bindparam
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.base import Executable

DialectName = Literal["sqlite", "mariadb"]

_DIALECTS: dict[str, Any] = {
    "sqlite": sqlite.dialect(paramstyle="qmark"),
    "mariadb": mysql.dialect(paramstyle="format"),
}
_DIALECTS["mariadb"].is_mariadb = True
#: binary, and trailing spaces count, as on SQLite
_EXACT = "utf8mb4_nopad_bin"


class Query:
    """One statement; `bound(dialect, params)` gives what a driver wants. Build it once, at import."""

    __slots__ = ("_compiled", "_statement")

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {}

    def bound(self, dialect: DialectName, params: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """The SQL text and its values in order. Raises KeyError for a parameter that is not given."""
        compiled = self._compiled.get(dialect)
        if compiled is None:
            compiled = self._compiled[dialect] = self._compile(dialect)
        sql, names, literals = compiled
        if literals:
            return sql, [params[name] if name in params else literals[name] for name in names]
        return sql, [params[name] for name in names]

    def _compile(self, dialect: DialectName) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        result = self._statement.compile(dialect=_DIALECTS[dialect])  # type: ignore[attr-defined]
        literals = {name: bind.value for name, bind in result.binds.items() if not bind.required}
        return str(result), tuple(result.positiontup or ()), literals


def p(name: str) -> Any:
    """A parameter of a statement, by name."""
    return bindparam(name)


class InList(ColumnElement[bool]):
    """`column IN (...)` over one JSON parameter, so that the shape of the statement is fixed.

    NULL in the list equals nothing; SQLite reads a text in the list up to its first NUL character.
    """

    inherit_cache = False

    def __init__(self, column: Any, name: str) -> None:
        self.column = column
        self.values: Any = bindparam(name)


@compiles(InList, "sqlite")
def _in_list_sqlite(element: InList, compiler: Any, **kw: Any) -> str:
    return (
        f"{compiler.process(element.column, **kw)} IN "
        f"(SELECT value FROM json_each({compiler.process(element.values, **kw)}))"
    )


@compiles(InList, "mysql")
@compiles(InList, "mariadb")
def _in_list_mariadb(element: InList, compiler: Any, **kw: Any) -> str:
    # longer values become NULL, which equals nothing, and no text column with an index is longer
    kind = "BIGINT" if element.column.type.python_type is int else f"VARCHAR(768) COLLATE {_EXACT}"
    return (
        f"{compiler.process(element.column, **kw)} IN (SELECT jt.v FROM JSON_TABLE("
        f"{compiler.process(element.values, **kw)}, '$[*]' COLUMNS (v {kind} PATH '$')) jt)"
    )


def _text_type(length: int) -> Any:
    return String(length).with_variant(mysql.VARCHAR(length, collation=_EXACT), "mysql", "mariadb")


def text(name: str, length: int = 255, *, null: bool = False, key: bool = False, index: bool = False) -> Column[Any]:
    """A text that compares exactly (binary collation on MariaDB)."""
    return Column(name, _text_type(length), nullable=null, primary_key=key, index=index)


def uuid(name: str, *, null: bool = False, key: bool = False, index: bool = False) -> Column[Any]:
    """An id: 36 characters are enough for a UUID with dashes, 64 for any id of ours."""
    return text(name, 64, null=null, key=key, index=index)


def integer(name: str, *, null: bool = False, index: bool = False, key: bool = False) -> Column[Any]:
    return Column(
        name,
        BigInteger().with_variant(Integer(), "sqlite"),
        nullable=null,
        index=index,
        primary_key=key,
        autoincrement=False,
    )


def boolean(name: str, *, null: bool = False, key: bool = False) -> Column[Any]:
    """0 or 1; a record's field of type bool."""
    return Column(name, Integer(), nullable=null, primary_key=key, autoincrement=False, info={"codec": "bool"})


def json(name: str, *, null: bool = False) -> Column[Any]:
    """JSON text that we parse; a record's field of any type that msgspec knows."""
    return Column(
        name,
        Text().with_variant(mysql.MEDIUMTEXT(collation=_EXACT), "mysql", "mariadb"),
        nullable=null,
        info={"codec": "json"},
    )


def long_text(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Text().with_variant(mysql.MEDIUMTEXT(collation=_EXACT), "mysql", "mariadb"), nullable=null)


def counters() -> Sequence[Column[Any]]:
    """`generation` locks (an update names the one it read), `revision` renders (rises with anything shown)."""
    return (integer("generation"), integer("revision"))
