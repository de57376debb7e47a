"""Who vouches for people from elsewhere, how what they say is mapped, and who these people are here."""

from __future__ import annotations

from typing import Any

import msgspec

#: begins those remote ids that name an audience: for whom a token must have been issued
_AUDIENCE = "aud:"


class IdentityProvider(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whose word about people is taken. `authorization_ttl` is in minutes."""

    id: str
    domain_id: str
    enabled: bool = False
    description: str | None = None
    authorization_ttl: int | None = None
    #: the names that the provider gives itself, its issuer among them; and the audiences, marked `aud:`
    remote_ids: tuple[str, ...] = ()
    generation: int = 1
    revision: int = 1

    def issuers(self) -> tuple[str, ...]:
        """What the provider may call itself."""
        return tuple(name for name in self.remote_ids if not name.startswith(_AUDIENCE))

    def audiences(self) -> tuple[str, ...]:
        """For whom its tokens must be, to be taken here."""
        return tuple(name.removeprefix(_AUDIENCE) for name in self.remote_ids if name.startswith(_AUDIENCE))


class RemoteId(msgspec.Struct, frozen=True, kw_only=True):
    """A name that belongs to one provider alone."""

    remote_id: str
    provider_id: str


class FederationProtocol(msgspec.Struct, frozen=True, kw_only=True):
    """A way in which a provider's word comes, and the mapping that reads it."""

    provider_id: str
    id: str
    mapping_id: str
    remote_id_attribute: str | None = None
    generation: int = 1
    revision: int = 1


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """Rules from what a provider says to users, groups and projects here."""

    id: str
    rules: list[Any]
    schema_version: str = "1.0"
    generation: int = 1
    revision: int = 1


class ServiceProvider(msgspec.Struct, frozen=True, kw_only=True):
    """Another cloud that takes our word."""

    id: str
    auth_url: str
    sp_url: str
    enabled: bool = False
    description: str | None = None
    relay_state_prefix: str = "ss:mem:"
    generation: int = 1
    revision: int = 1


class FederatedUser(msgspec.Struct, frozen=True, kw_only=True):
    """By which name a provider knows one of our users."""

    provider_id: str
    protocol_id: str
    unique_id: str
    user_id: str
    display_name: str
    #: the user exists because of this, and goes with it
    shadow: bool = False


class GroupVisit(msgspec.Struct, frozen=True, kw_only=True):
    """A group that a provider said its user is in, when they last came."""

    user_id: str
    group_id: str
    provider_id: str
    #: microseconds since 1970
    seen_at: int

    def expires_at(self, minutes: int) -> int:
        """When it ends by itself, if a provider's word holds for that long."""
        return self.seen_at + minutes * 60_000_000
