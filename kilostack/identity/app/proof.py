"""How requests name users, projects and scopes, and what a login has shown."""

from __future__ import annotations

import msgspec

from kilostack.core.errors import BadRequest
from kilostack.core.token import Claims, Receipt
from kilostack.identity.model.projects import Domain
from kilostack.identity.model.users import User
from kilostack.identity.store.projects import DOMAINS, named_domain
from kilostack.identity.store.users import USERS, named_user
from kilostack.store.database import Tx

REJECTED = "The request you have made requires authentication."
#: of whom attempts are counted for: it is remembered, and a client may send anything
LONGEST_LABEL = 300


class DomainName(msgspec.Struct, frozen=True):
    """A domain as requests name it: by id or by name."""

    id: str | None = None
    name: str | None = None


class Named(msgspec.Struct, frozen=True):
    """A user or project as requests name it: by id, or by name within a domain."""

    id: str | None = None
    name: str | None = None
    domain: DomainName | None = None


class Scope(msgspec.Struct, frozen=True):
    """What a token is to be for; nothing set is nothing at all."""

    project: Named | None = None
    domain: DomainName | None = None
    system: bool = False
    #: of a trust, whose project it is then
    trust_id: str = ""


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """Who somebody has shown to be, and how."""

    methods: tuple[str, ...]
    user_id: str
    #: the hash that their password matched; it must still be the user's
    password_hash: str | None = None
    #: the token that this one is made from
    parent: Claims | None = None
    #: what was shown in an earlier request
    receipt: Receipt | None = None
    #: the ways in among which rules of users may choose; without any, no rule holds
    offered: frozenset[str] = frozenset()
    #: the credential that was shown, and its secret
    credential_id: str = ""
    credential_secret: str = ""
    #: what a consumer of OAuth 1 was granted
    access_token_id: str = ""
    #: of a user from elsewhere: who vouches for them, by which protocol, and the groups that they are said to be in
    provider_id: str = ""
    protocol_id: str = ""
    group_ids: tuple[str, ...] = ()


def label(named: Named) -> str:
    """Whom attempts are counted for."""
    domain = named.domain or DomainName()
    return (named.id or f"{named.name} in {domain.id or domain.name}")[:LONGEST_LABEL]


async def found_user(tx: Tx, named: Named) -> User | None:
    """The user that a request names. Raises `BadRequest` when it names none."""
    if named.id is not None:
        return await USERS.find(tx, id=named.id)
    if named.name is None:
        raise expecting("id or name", "user")
    domain = await found_domain(tx, named.domain, "user")
    return None if domain is None else await named_user(tx, named.name, domain.id)


async def found_domain(tx: Tx, wanted: DomainName | None, where: str) -> Domain | None:
    """The domain that a request names; a name counts more than an id. Raises `BadRequest` when it names none."""
    if wanted is None or (wanted.id is None and wanted.name is None):
        raise expecting("domain", where)
    if wanted.name is not None:
        return await named_domain(tx, wanted.name)
    return await DOMAINS.find(tx, id=wanted.id)


def expecting(attribute: str, where: str) -> BadRequest:
    """The 400 of something that is missing."""
    return BadRequest(
        f"Expecting to find {attribute} in {where}. The server could not comply with the request since it is either "
        "malformed or otherwise incorrect. The client is assumed to be in error.",
        field=attribute,
    )
