"""What every use case of identity stands on."""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec

from kilostack.core.vault import Entropy, Vault
from kilostack.core.world import World
from kilostack.drivers.web.memory import MemoryWeb
from kilostack.drivers.web.port import Web
from kilostack.identity.app.passwords import Attempts, HashCost, Passwords
from kilostack.identity.app.policies import Access
from kilostack.identity.app.settings import IdentitySettings
from kilostack.store.database import Database


class IdentityParts(msgspec.Struct, frozen=True, kw_only=True):
    """What identity is made of. `entropy` must be unpredictable, except in a simulation."""

    db: Database
    world: World
    vault: Vault
    settings: IdentitySettings = IdentitySettings()
    overrides: Mapping[str, str] = {}
    entropy: Entropy = os.urandom
    #: where identity providers publish their keys; nothing is there unless it is given
    web: Web = msgspec.field(default_factory=MemoryWeb)
    hash_cost: HashCost = HashCost()


class Ground:
    """The parts, and what is made of them once for all use cases of this process."""

    def __init__(self, parts: IdentityParts) -> None:
        self.db, self.world, self.vault, self.entropy = parts.db, parts.world, parts.vault, parts.entropy
        self.settings = parts.settings
        self.web = parts.web
        self.access = Access(parts.overrides)
        self.passwords = Passwords(parts.world, parts.entropy, parts.hash_cost)
        self.attempts = Attempts(parts.world)
        #: the longest life of a token, in microseconds
        self.token_life = parts.settings.token_life_s * 1_000_000

    def new_id(self) -> str:
        """An id as identity shows them: 32 hexadecimal digits."""
        return self.world.new_id().replace("-", "")

    def until(self) -> int:
        """When every token that was issued so far will have expired."""
        return self.world.now() + self.token_life
