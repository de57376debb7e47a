"""Signing keys and revocations: what every process that checks tokens follows."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from itertools import pairwise

import msgspec
from sqlalchemy import delete, select, text

from kilostack.identity.store.tables.meta import FEED
from kilostack.identity.store.tables.tokens import REVOCATIONS, SIGNING_KEYS
from kilostack.store.database import Tx
from kilostack.store.records import Records
from kilostack.store.sql import DialectName, InList, Query, p
from kilostack.wire.identity_calls import Revocation, TokenKey, TokenRules


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key pair; the private half is sealed under the master key."""

    id: str
    #: base64
    public: str
    private_sealed: str
    created_at: int


#: how long after its end a token may still be looked at by a service that finishes work for its bearer
LATE = 2 * 24 * 3600 * 1_000_000

KEYS = Records(SigningKey, SIGNING_KEYS, noun="signing key")

_replaced = Query(delete(REVOCATIONS).where(InList(REVOCATIONS.c.subject, "subjects")))
_into = f"INSERT INTO {REVOCATIONS.name} (subject, number, until) SELECT listed.value, :number_, :until_ FROM "
#: one statement for any number of subjects, which come as a JSON list
_revoked: dict[DialectName, Query] = {
    "sqlite": Query(text(f"{_into} json_each(:subjects) AS listed")),
    "mariadb": Query(text(f"{_into} JSON_TABLE(:subjects, '$[*]' COLUMNS (value VARCHAR(255) PATH '$')) AS listed")),
}
_since = Query(
    select(REVOCATIONS.c.subject, REVOCATIONS.c.number, REVOCATIONS.c.until)
    .where((REVOCATIONS.c.number > p("after")) & (REVOCATIONS.c.until > p("now")))
    .order_by(REVOCATIONS.c.number)
)
_voiding = Query(
    select(REVOCATIONS.c.subject)
    .where(InList(REVOCATIONS.c.subject, "subjects") & (REVOCATIONS.c.number > p("number_")))
    .limit(1)
)
_expired = Query(delete(REVOCATIONS).where(REVOCATIONS.c.until <= p("now")))


async def revoke(tx: Tx, subjects: Iterable[str], until: int) -> None:
    """Void every token of `subjects` read before now. Call it last in a unit: it takes a lock that all share.

    `until` is when the last of these tokens will have expired by itself. It is remembered for as long as they may still
    be looked at.
    """
    wanted = sorted(set(subjects))
    if not wanted:
        return
    await FEED.append(tx, ["revocations"])
    listed = msgspec.json.encode(wanted).decode()
    await tx.run(_replaced, subjects=listed)
    await tx.run(_revoked[tx.dialect], subjects=listed, number_=await FEED.head(tx), until_=until + LATE)


async def is_void(tx: Tx, subjects: Iterable[str], number: int) -> bool:
    """Whether one of `subjects` was revoked after `number`."""
    names = msgspec.json.encode(list(subjects)).decode()
    return await tx.one(_voiding, subjects=names, number_=number) is not None


async def add_key(tx: Tx, key: SigningKey) -> None:
    """Make a key known. Call it last in a unit."""
    await KEYS.insert(tx, key)
    await FEED.append(tx, ["keys"])


def newest(keys: Iterable[SigningKey]) -> SigningKey | None:
    """The key to sign with: the same one wherever the same keys are known."""
    return max(keys, key=_age, default=None)


async def newest_key(tx: Tx) -> SigningKey | None:
    """The key to sign with."""
    return newest(await KEYS.where(tx))


async def prune_keys(tx: Tx, before: int) -> int:
    """Forget keys that newer ones have replaced before that time; how many."""
    keys = sorted(await KEYS.where(tx), key=_age)
    replaced = [old for old, new in pairwise(keys) if new.created_at < before]
    for key in replaced:
        await KEYS.delete(tx, id=key.id)
    if replaced:
        await FEED.append(tx, ["keys"])
    return len(replaced)


def _age(key: SigningKey) -> tuple[int, str]:
    return key.created_at, key.id


async def rules(tx: Tx, after: int, now: int) -> TokenRules:
    """What a follower that knows everything up to `after` needs."""
    last = await FEED.head(tx)
    keys = await KEYS.where(tx)
    # who follows takes no token that has expired
    revoked = await tx.all(_since, after=after, now=now + LATE)
    return TokenRules(
        last=last,
        keys=tuple(TokenKey(base64.b64decode(key.public)) for key in keys),
        revocations=tuple(
            Revocation(subject=subject, before=number, until=until - LATE) for subject, number, until in revoked
        ),
    )


async def prune(tx: Tx, now: int) -> int:
    """Forget revocations of tokens that nobody may look at any more."""
    return await tx.run(_expired, now=now)


async def number(tx: Tx) -> int:
    """The feed's number as of this transaction: what was revoked later is revoked after it."""
    return await FEED.head(tx)
