"""The identity service, put together from what it is given."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress

import msgspec

from kilostack.core.errors import NotFound, Unavailable
from kilostack.core.secret import Secret
from kilostack.core.vault import Entropy, Vault
from kilostack.core.world import World
from kilostack.http.dialects import KEYSTONE
from kilostack.http.discovery import identity_root, identity_version
from kilostack.http.routes import Api, Route
from kilostack.identity.api import render, schemas
from kilostack.identity.api.collections import CollectionApi
from kilostack.identity.api.people import CredentialsApi, GrantsApi, PeopleApi
from kilostack.identity.api.tokens import TokensApi
from kilostack.identity.app.bootstrap import Bootstrap, ServicePlace
from kilostack.identity.app.catalog import Catalogs, Endpoints, Regions, Services
from kilostack.identity.app.credentials import Credentials
from kilostack.identity.app.directory import Domains, Projects, Users
from kilostack.identity.app.passwords import Attempts, Passwords
from kilostack.identity.app.policies import Access
from kilostack.identity.app.resources import Ground
from kilostack.identity.app.roles import Grants, Roles
from kilostack.identity.app.sign_in import SignIn
from kilostack.identity.app.signing import Signing
from kilostack.identity.app.tokens import Tokens
from kilostack.identity.model.catalog import Endpoint
from kilostack.identity.model.directory import DEFAULT_DOMAIN
from kilostack.identity.store import directory
from kilostack.identity.store import tokens as store
from kilostack.store.database import Database, Tx
from kilostack.wire.calls import Actor, Answers
from kilostack.wire.hosts import ChangesAsked
from kilostack.wire.identity_calls import CHANGES, TokenRules

PREFIX = "/identity/v3"
_PRUNE_EVERY_S = 3600.0


class IdentitySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator may choose."""

    token_life_s: int = 3600
    #: the root of catalog URLs; None: where each client reached the cloud
    public_url: str | None = None
    region: str = "RegionOne"


class IdentityParts(msgspec.Struct, frozen=True, kw_only=True):
    """What identity is made of. `entropy` must be unpredictable, except in a simulation."""

    db: Database
    world: World
    vault: Vault
    settings: IdentitySettings = IdentitySettings()
    overrides: Mapping[str, str] = {}
    entropy: Entropy = os.urandom


class IdentityService:
    """`api` and `root` are its public faces, `answers` what other services may ask."""

    def __init__(self, parts: IdentityParts) -> None:
        settings = parts.settings
        ground = Ground(
            db=parts.db,
            world=parts.world,
            access=Access(parts.overrides),
            token_life=settings.token_life_s * 1_000_000,
        )
        passwords, attempts = Passwords(parts.world, parts.entropy), Attempts(parts.world)
        self._parts = parts
        self._signing = Signing(parts.db, parts.world, parts.vault, parts.entropy)
        tokens = Tokens(ground, self._signing, parts.vault, parts.entropy)
        sign_in = SignIn(ground, tokens, passwords, parts.vault, attempts)
        users = Users(ground, passwords, attempts)
        self._bootstrap = Bootstrap(ground, passwords)
        self.api = Api(
            name="identity",
            prefix=PREFIX,
            dialect=KEYSTONE,
            routes=(
                *identity_version(),
                *TokensApi(ground, sign_in, tokens, Catalogs(), settings.public_url).routes(),
                *_collections(ground, users, settings.public_url),
                *PeopleApi(users).routes(),
                *CredentialsApi(Credentials(ground, parts.vault, parts.entropy), tokens).routes(),
                *GrantsApi(Grants(ground)).routes(),
            ),
        )
        self.root = identity_root()
        self.answers = Answers()
        self.answers.add(CHANGES, self._changes)

    async def start(self) -> None:
        """Have a signing key; from now on tokens are issued. Raises `WrongMasterKey`."""
        await self._signing.prepare()
        self._parts.world.spawn(self._prune(), "identity-prune")

    async def bootstrap(self, admin_password: Secret, demo_password: Secret, places: Iterable[ServicePlace]) -> None:
        """Seed a new cloud; of an older one, only services that it lacks are added."""
        await self._bootstrap.directory(admin_password, demo_password)
        await self._bootstrap.services(self._parts.settings.region, places)

    async def project_id(self, name: str) -> str:
        """The id of a project of the default domain. Raises `NotFound`."""
        found = await self._parts.db.read(lambda tx: directory.PROJECTS.where(tx, domain_id=DEFAULT_DOMAIN, name=name))
        if not found:
            raise NotFound(f"Could not find project: {name}.")
        return found[0].id

    async def _changes(self, asked: ChangesAsked, actor: Actor) -> TokenRules:
        now = self._parts.world.now()
        return await self._parts.db.read(lambda tx: store.rules(tx, asked.after, now))

    async def _prune(self) -> None:
        while True:
            await self._parts.world.sleep(_PRUNE_EVERY_S)
            now = self._parts.world.now()

            async def unit(tx: Tx, now: int = now) -> int:
                return await store.prune(tx, now)

            # what is not pruned now is pruned an hour later
            with suppress(Unavailable):
                await self._parts.db.write(unit)


def _collections(ground: Ground, users: Users, public_url: str | None) -> tuple[Route, ...]:
    def endpoint(record: Endpoint, base: str) -> render.Shown:
        return render.endpoint(record, base, public_url or base.removesuffix(PREFIX))

    return (
        *CollectionApi(Domains(ground), schemas.DOMAIN, render.domain).routes(),
        *CollectionApi(Projects(ground), schemas.PROJECT, render.project).routes(),
        *CollectionApi(users, schemas.USER, render.user).routes(),
        *CollectionApi(Roles(ground), schemas.ROLE, render.role).routes(),
        *CollectionApi(Regions(ground), schemas.REGION, render.region).routes(),
        *CollectionApi(Services(ground), schemas.SERVICE, render.service).routes(),
        *CollectionApi(Endpoints(ground), schemas.ENDPOINT, endpoint).routes(),
    )
