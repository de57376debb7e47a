"""The identity service, put together from what it is given."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from kilostack.core.errors import NotFound, Unavailable
from kilostack.core.secret import Secret
from kilostack.http.dialects import KEYSTONE
from kilostack.http.discovery import identity_root, identity_version
from kilostack.http.operations import documented
from kilostack.http.routes import Api, Route
from kilostack.identity.api import (
    application_credentials,
    catalog,
    credentials,
    domain_config,
    ec2,
    endpoint_filter,
    federation,
    federation_sign_in,
    grants,
    groups,
    limits,
    oauth1,
    oauth2,
    policy_documents,
    projects,
    revocations,
    roles,
    tokens,
    trusts,
    users,
)
from kilostack.identity.api.operations import OPERATIONS
from kilostack.identity.app.bootstrap import Bootstrap, ServicePlace
from kilostack.identity.app.ground import Ground, IdentityParts
from kilostack.identity.app.limits import Limits
from kilostack.identity.app.methods.application_credential import ApplicationCredentialMethod
from kilostack.identity.app.methods.mapped import MappedMethod, OpenidMethod, Saml2Method
from kilostack.identity.app.methods.oauth1 import OAuth1Method
from kilostack.identity.app.methods.password import PasswordMethod
from kilostack.identity.app.methods.token import TokenMethod
from kilostack.identity.app.methods.totp import TotpMethod
from kilostack.identity.app.receipts import Receipts
from kilostack.identity.app.sign_in import SignIn
from kilostack.identity.app.signing import Signing
from kilostack.identity.app.tokens import Tokens
from kilostack.identity.model.projects import DEFAULT_DOMAIN
from kilostack.identity.store import tokens as store
from kilostack.identity.store.oauth1 import prune_grants
from kilostack.identity.store.projects import PROJECTS
from kilostack.store.database import Tx
from kilostack.wire.calls import Actor, Answers
from kilostack.wire.hosts import ChangesAsked
from kilostack.wire.identity_calls import CHANGES, TokenRules

PREFIX = "/identity/v3"
_PRUNE_EVERY_S = 3600.0


class IdentityService:
    """`api` and `root` are its public faces, `answers` what other services may ask."""

    def __init__(self, parts: IdentityParts) -> None:
        self._parts = parts
        ground = Ground(parts)
        self._signing = Signing(ground)
        self._bootstrap = Bootstrap(ground)
        self._limits = Limits(ground)
        issuing = Tokens(ground, self._signing)
        # tokens list theirs in this order, which is upstream's
        methods = (
            Saml2Method(ground, issuing),
            OpenidMethod(ground, issuing),
            MappedMethod(ground, issuing),
            OAuth1Method(ground),
            TotpMethod(ground),
            ApplicationCredentialMethod(ground),
            TokenMethod(issuing),
            PasswordMethod(ground),
        )
        self.api = Api(
            name="identity",
            prefix=PREFIX,
            dialect=KEYSTONE,
            routes=documented(
                (*identity_version(), *_routes(ground, issuing, SignIn(methods, Receipts(ground, self._signing)))),
                OPERATIONS,
            ),
        )
        self.root = identity_root()
        self.answers = Answers()
        self.answers.add(CHANGES, self._changes)

    async def start(self) -> None:
        """Have a signing key; from now on tokens are issued. Raises `WrongMasterKey` or `TreeTooDeep`."""
        await self._limits.check_depth()
        await self._signing.prepare()
        self._parts.world.spawn(self._prune(), "identity-prune")

    async def bootstrap(self, admin_password: Secret, demo_password: Secret, places: Iterable[ServicePlace]) -> None:
        """Seed a new cloud; of an older one, only services that it lacks are added."""
        await self._bootstrap.directory(admin_password, demo_password)
        await self._bootstrap.services(self._parts.settings.region, places)

    async def project_id(self, name: str) -> str:
        """The id of a project of the default domain. Raises `NotFound`."""
        found = await self._parts.db.read(lambda tx: PROJECTS.where(tx, domain_id=DEFAULT_DOMAIN, name=name))
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

            async def unit(tx: Tx, now: int = now) -> None:
                await store.prune(tx, now)
                await prune_grants(tx, now)

            # what is not pruned now is pruned an hour later
            with suppress(Unavailable):
                await self._parts.db.write(unit)
                await self._signing.prune()


def _routes(ground: Ground, issuing: Tokens, sign_in: SignIn) -> tuple[Route, ...]:
    return (
        *tokens.routes(ground, issuing, sign_in),
        *projects.routes(ground),
        *domain_config.routes(ground),
        *users.routes(ground),
        *groups.routes(ground),
        *roles.routes(ground),
        *grants.routes(ground),
        *catalog.routes(ground),
        *endpoint_filter.routes(ground),
        *policy_documents.routes(ground),
        *limits.routes(ground),
        *revocations.routes(ground),
        *application_credentials.routes(ground, issuing),
        *credentials.routes(ground, issuing),
        *ec2.routes(ground, issuing, sign_in),
        *trusts.routes(ground, issuing),
        *oauth1.routes(ground, issuing),
        *oauth2.routes(ground, issuing, sign_in),
        *federation.routes(ground),
        *federation_sign_in.routes(ground, issuing, sign_in),
    )
