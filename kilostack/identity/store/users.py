"""Records of users and of what they have shown, and what may be asked of their collection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import case, insert, select, update

from kilostack.core.errors import Duplicate
from kilostack.identity.model.passwords import Failures, PasswordRules, lock_ended_before
from kilostack.identity.model.users import User
from kilostack.identity.store.tables import users as tables
from kilostack.identity.store.tables.groups import GROUP_MEMBERS
from kilostack.store.database import Database, Tx
from kilostack.store.lists import Collection, Filter
from kilostack.store.records import Records
from kilostack.store.sql import InList, Query, p

USERS = Records(User, tables.USERS, noun="user")


class FormerPassword(msgspec.Struct, frozen=True, kw_only=True):
    """A password that a user has had, and since when."""

    user_id: str
    created_at: int
    password_hash: str


FORMER_PASSWORDS = Records(
    FormerPassword, tables.FORMER_PASSWORDS, noun="former password", key=("user_id", "created_at")
)


LOGIN_FAILURES = Records(Failures, tables.LOGIN_FAILURES, noun="failures", key=("user_id",))


_BY_NAME = (("name", False),)


_NAMES = {"id": "id", "name": "name"}


#: what lists of users may be asked for
FILTERS: dict[str, Filter] = {
    "name": "name",
    "domain_id": "domain_id",
    "enabled": "enabled",
    "password_expires_at": "password_expires_at",
}


USER_LIST = Collection(USERS, filters={**FILTERS, "id": "id"}, sorts=_NAMES, default_sort=_BY_NAME)


def _in_group(name: str) -> Any:
    members = select(GROUP_MEMBERS.c.user_id).where(InList(GROUP_MEMBERS.c.group_id, name))
    return tables.USERS.c.id.in_(members)


#: the users of a group
MEMBER_LIST = Collection(USERS, filters={**FILTERS, "group_id": _in_group}, sorts=_NAMES, default_sort=_BY_NAME)


_USERS, _FAILURES = tables.USERS, tables.LOGIN_FAILURES
_forget_projects = Query(
    update(_USERS)
    .where(InList(_USERS.c.default_project_id, "projects"))
    .values(default_project_id=None, generation=_USERS.c.generation + 1, revision=_USERS.c.revision + 1)
)
# nobody reads the day in order to change the user, so it raises no generation
_seen = Query(update(_USERS).where(_USERS.c.id == p("id_")).values(active_at=p("active_at_")))
# MariaDB assigns from left to right: the count looks at the time before the time is written
_one_more = Query(
    update(_FAILURES)
    .where(_FAILURES.c.user_id == p("user_id_"))
    .ordered_values(
        (
            _FAILURES.c.failures,
            case(
                ((_FAILURES.c.failures >= p("limit_")) & (_FAILURES.c.failed_at <= p("ended_before")), 1),
                else_=_FAILURES.c.failures + 1,
            ),
        ),
        (_FAILURES.c.failed_at, p("failed_at_")),
    )
)
_first = Query(insert(_FAILURES).values(user_id=p("user_id"), failures=1, failed_at=p("failed_at")))


async def named_user(tx: Tx, name: str, domain_id: str) -> User | None:
    """The user of that name in a domain."""
    found = await USERS.where(tx, domain_id=domain_id, name=name)
    return found[0] if found else None


async def forget_default_projects(tx: Tx, project_ids: Sequence[str]) -> None:
    """Nobody has one of these projects as their default any more."""
    await tx.run(_forget_projects, projects=msgspec.json.encode(project_ids).decode())


async def mark_active(tx: Tx, user_id: str, now: int) -> None:
    await tx.run(_seen, id_=user_id, active_at_=now)


async def count_failure(db: Database, rules: PasswordRules, user_id: str, now: int) -> None:
    """One more wrong password for whoever is not locked now; after a lock that is over the count begins anew."""
    ended = {"limit_": rules.lockout_failure_attempts, "ended_before": lock_ended_before(rules, now)}

    async def unit(tx: Tx) -> None:
        if await tx.run(_one_more, user_id_=user_id, failed_at_=now, **ended) != 1:
            await tx.run(_first, user_id=user_id, failed_at=now)

    try:
        await db.write(unit)
    except Duplicate:
        # another process was first with the first
        await db.write(unit)


async def keep_former_password(tx: Tx, user: User, count: int) -> None:
    """Remember the password that `user` is about to lose, and of all former ones the newest `count`."""
    if count and user.password_hash is not None:
        former = FormerPassword(
            user_id=user.id, created_at=user.password_created_at or 0, password_hash=user.password_hash
        )
        await FORMER_PASSWORDS.delete(tx, user_id=user.id, created_at=former.created_at)
        await FORMER_PASSWORDS.insert(tx, former)
    kept = await FORMER_PASSWORDS.where(tx, user_id=user.id)
    for old in kept[: max(len(kept) - count, 0)]:
        await FORMER_PASSWORDS.delete(tx, user_id=user.id, created_at=old.created_at)


async def forget_users(tx: Tx, user_ids: Sequence[str]) -> None:
    """Remove what is kept about users who are being deleted, except the users and what others own."""
    await FORMER_PASSWORDS.delete_within(tx, "user_id", user_ids)
    await LOGIN_FAILURES.delete_within(tx, "user_id", user_ids)
