"""Tables of a fresh database, and the number that says which schema a database has.

A service's tables are one `MetaData`. A fresh database gets them as DDL; an existing one must carry the number of this
release. A schema change adds a migration in two halves and raises the number.
"""

from __future__ import annotations

import re

from sqlalchemy import MetaData
from sqlalchemy.schema import CreateIndex, CreateTable

from kilostack.store.sql import _DIALECTS, DialectName


class WrongSchema(Exception):
    """The database belongs to another release; the message says which and what to do."""


class DamagedDatabase(Exception):
    """The file is no database, or a broken one; the message names it and says what to do."""


def ddl(meta: MetaData, dialect: DialectName) -> list[str]:
    """CREATE statements for every table and index of `meta`, in an order that works."""
    statements = []
    for table in meta.sorted_tables:
        statements.append(_one(CreateTable(table), dialect))
        statements += [_one(CreateIndex(index), dialect) for index in sorted(table.indexes, key=lambda i: str(i.name))]
    return statements


def _one(element: CreateTable | CreateIndex, dialect: DialectName) -> str:
    sql = str(element.compile(dialect=_DIALECTS[dialect])).strip()
    return re.sub(r"[ \t]+\n", "\n", sql) + ";"


def check_number(found: int, wanted: int, service: str) -> None:
    """Raise `WrongSchema` unless the database's number is this release's."""
    if found > wanted:
        raise WrongSchema(
            f"The {service} database has schema {found}, written by a newer kilostack; this release knows {wanted}. "
            "Run the newer release, or restore a backup made by this one."
        )
    if found < wanted:
        raise WrongSchema(
            f"The {service} database has schema {found}, this release needs {wanted}, and there is no migration."
        )
