"""What other services ask of placement."""

from __future__ import annotations

import msgspec

from kilostack.wire.calls import Nothing, Op
from kilostack.wire.hosts import ChangesAsked


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    total: int
    reserved: int = 0
    allocation_ratio: float = 1.0
    used: int = 0

    @property
    def free(self) -> int:
        return int((self.total - self.reserved) * self.allocation_ratio) - self.used


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A resource provider: a host and what it has, by resource class (VCPU, MEMORY_MB, DISK_GB)."""

    id: str
    name: str
    generation: int = 0
    inventories: dict[str, Inventory]
    traits: tuple[str, ...] = ()


class Providers(msgspec.Struct, frozen=True, kw_only=True):
    """Providers as of feed number `last`."""

    last: int
    providers: tuple[Provider, ...]
    #: ids of providers that are gone
    removed: tuple[str, ...] = ()
    #: these are all providers, not only the changed ones
    whole: bool = False
    #: there is more to be had after `last`
    more: bool = False


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Take `resources` of a provider for a consumer; idempotent by consumer and saga."""

    consumer: str
    provider: str
    resources: dict[str, int]
    project_id: str
    user_id: str


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """Whether it was taken; if not, the provider as it is now."""

    taken: bool
    provider: Provider


class Consumer(msgspec.Struct, frozen=True):
    consumer: str


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What a consumer holds: amounts by resource class of one provider; nothing of none."""

    provider: str = ""
    resources: dict[str, int] = {}


#: make or correct a host's provider; keeps what is used
ENSURE_PROVIDER: Op[Provider, Provider] = Op("placement.ensure_provider", Provider, Provider)
CLAIM: Op[Claim, Claimed] = Op("placement.claim", Claim, Claimed)
#: gives back all that a consumer holds; leaves a tombstone for its saga
RELEASE: Op[Consumer, Nothing] = Op("placement.release", Consumer, Nothing)
#: providers changed after a number; 0 asks for all
PROVIDERS: Op[ChangesAsked, Providers] = Op("placement.providers", ChangesAsked, Providers)
HOLDING: Op[Consumer, Holding] = Op("placement.holding", Consumer, Holding)
