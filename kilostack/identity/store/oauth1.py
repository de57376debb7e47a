"""Records of OAuth 1, and what goes with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import delete

from kilostack.identity.model.oauth1 import AccessToken, Consumer, RequestToken
from kilostack.identity.store.tables import oauth1 as tables
from kilostack.store.database import Tx
from kilostack.store.lists import Collection
from kilostack.store.records import Records
from kilostack.store.sql import Query, p

CONSUMERS = Records(Consumer, tables.CONSUMERS, noun="consumer")


REQUEST_TOKENS = Records(RequestToken, tables.REQUEST_TOKENS, noun="request token")


ACCESS_TOKENS = Records(AccessToken, tables.ACCESS_TOKENS, noun="access token")


_BY_ID = (("id", False),)


CONSUMER_LIST = Collection(CONSUMERS, filters={}, sorts={"id": "id"}, default_sort=_BY_ID)


ACCESS_TOKEN_LIST = Collection(
    ACCESS_TOKENS,
    filters={"authorizing_user_id": "authorizing_user_id"},
    sorts={"id": "id"},
    default_sort=_BY_ID,
)

_expired = tuple(
    Query(delete(table).where(table.c.expires_at <= p("now")))
    for table in (tables.REQUEST_TOKENS, tables.ACCESS_TOKENS)
)


async def remove_grants(
    tx: Tx, kind: Literal["consumer_id", "authorizing_user_id", "project_id"], ids: Sequence[str]
) -> None:
    """Delete the wishes and grants of consumers, users or projects."""
    await REQUEST_TOKENS.delete_within(tx, kind, ids)
    await ACCESS_TOKENS.delete_within(tx, kind, ids)


async def prune_grants(tx: Tx, before: int) -> None:
    """Forget what expired before a moment."""
    for query in _expired:
        await tx.run(query, now=before)
