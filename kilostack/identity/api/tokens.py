"""`/auth`: tokens, and what their bearer may turn them into."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from kilostack.core.errors import Forbidden, Unauthenticated
from kilostack.core.token import Claims, Receipt
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.identity.api.auth_requests import AuthRequest, auth_request
from kilostack.identity.api.collections import page
from kilostack.identity.api.oauth1 import signed_part
from kilostack.identity.api.parts import Shown, show_access_rule, show_end, show_time
from kilostack.identity.api.projects import show_domain, show_project
from kilostack.identity.api.queries import FALSE, TRUE
from kilostack.identity.app.assignments import domains_with_roles, effective_roles, projects_with_roles
from kilostack.identity.app.attempted import attempted
from kilostack.identity.app.federation_mappings import EnabledServiceProviders
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.methods.oauth1 import OAuth1Method
from kilostack.identity.app.receipts import MoreNeeded
from kilostack.identity.app.rendered_catalogs import RenderedCatalogs
from kilostack.identity.app.sign_in import SignIn
from kilostack.identity.app.tokens import Issued, Tokens
from kilostack.identity.model.assignments import Place
from kilostack.identity.model.projects import Domain, Project
from kilostack.store.database import Tx

#: the second is where upstream had it first
_PROJECTS = ("/auth/projects", "/OS-FEDERATION/projects")
_DOMAINS = ("/auth/domains", "/OS-FEDERATION/domains")


class TokensApi:
    """Logging in, and looking at tokens."""

    def __init__(self, ground: Ground, tokens: Tokens, sign_in: SignIn) -> None:
        self._ground, self._tokens, self._sign_in = ground, tokens, sign_in
        self._receipts = sign_in.receipts
        self._catalogs, self._public_url = RenderedCatalogs(), ground.settings.public_url
        self._service_providers = EnabledServiceProviders()

    def routes(self) -> tuple[Route, ...]:
        return (
            Route(method="POST", path="/auth/tokens", handler=self._issue, public=True),
            Route(method="GET", path="/auth/tokens", handler=self._show),
            Route(method="HEAD", path="/auth/tokens", handler=self._check),
            Route(method="DELETE", path="/auth/tokens", handler=self._revoke),
            Route(method="DELETE", path="/users/{record_id}/tokens", handler=self._revoke_of_user),
            # a list of them is more than anybody should have
            Route(method="GET", path="/auth/tokens/OS-PKI/revoked", handler=self._revoked, public=True),
            Route(method="GET", path="/auth/catalog", handler=self._catalog),
            *(Route(method="GET", path=path, handler=partial(self._projects, path)) for path in _PROJECTS),
            *(Route(method="GET", path=path, handler=partial(self._domains, path)) for path in _DOMAINS),
            Route(method="GET", path="/auth/system", handler=self._system),
        )

    async def answer(self, request: Request, issued: Issued) -> Response:
        """The answer with a new token."""
        request.facts["user_id"] = issued.claims.user_id
        return Response(201, await self.body(request, issued.claims), headers=_headers(issued.text))

    async def _issue(self, request: Request) -> Response:
        auth = auth_request(await request.json())
        if OAuth1Method.name in auth.identity:
            # what is shown here is in the head of the request
            auth.identity[OAuth1Method.name] = signed_part(request)
        try:
            return await self._issued(request, auth)
        except Unauthenticated:
            request.facts["user_id"] = await self._ground.db.read(lambda tx: attempted(tx, auth.identity))
            raise

    async def _issued(self, request: Request, auth: AuthRequest) -> Response:
        receipt = request.headers.get("openstack-auth-receipt")
        proof = await self._sign_in.prove(auth.identity, request.address, receipt)
        try:
            issued = await self._tokens.issue(proof, auth.scope)
        except MoreNeeded as needed:
            made = await self._receipts.make(needed)
            request.facts["user_id"] = needed.user.id
            return Response(401, show_receipt(needed, made.receipt), headers={"Openstack-Auth-Receipt": made.text})
        return await self.answer(request, issued)

    async def _show(self, request: Request) -> Response:
        token, claims = await self._looked_at(request, "validate_token")
        return Response(200, await self.body(request, claims), headers=_headers(token))

    async def _check(self, request: Request) -> Response:
        token, _ = await self._looked_at(request, "check_token")
        return Response(200, headers=_headers(token))

    async def _looked_at(self, request: Request, action: str) -> tuple[str, Claims]:
        token = request.headers.get("x-subject-token")
        late = (request.query.first("allow_expired") or "").lower() in TRUE
        return token or "", await self._tokens.look(request.ctx, action, token, late=late)

    async def _revoke(self, request: Request) -> Response:
        cascade = (request.query.first("cascade") or "").lower() not in FALSE
        await self._tokens.revoke(request.ctx, request.headers.get("x-subject-token"), cascade=cascade)
        return Response(204)

    async def _revoke_of_user(self, request: Request) -> Response:
        await self._tokens.revoke_of_user(request.ctx, request.params["record_id"])
        return Response(204)

    async def _revoked(self, request: Request) -> Response:
        raise Forbidden("You are not authorized to perform the requested action.")

    async def body(self, request: Request, claims: Claims) -> dict[str, Any]:
        """What a token says, with the catalog unless the request wants none."""
        shown = show_token(claims)
        providers = await self._ground.db.read(self._service_providers.get)
        if providers:
            shown["service_providers"] = [
                {"id": one.id, "auth_url": one.auth_url, "sp_url": one.sp_url} for one in providers
            ]
        if claims.is_scoped and "nocatalog" not in request.query.names():
            shown["catalog"] = await self._catalog_of(request, claims.project_id, claims.user_id)
        return {"token": shown}

    async def _catalog_of(self, request: Request, project_id: str, user_id: str) -> msgspec.Raw:
        root = self._public_url or request.root
        return await self._ground.db.read(lambda tx: self._catalogs.get(tx, root, project_id, user_id))

    async def _catalog(self, request: Request) -> Response:
        if not request.ctx.project_id:
            raise Forbidden("A project-scoped token is required to produce a service catalog.")
        catalog = await self._catalog_of(request, request.ctx.project_id, request.ctx.user_id)
        return Response(200, {"catalog": catalog, "links": {"self": request.link("/auth/catalog")}})

    async def _brought(self, request: Request) -> tuple[str, ...]:
        """Groups that the caller is in by the word of an identity provider."""
        return (await self._tokens.caller(request.token)).group_ids

    async def _projects(self, path: str, request: Request) -> Response:
        groups = await self._brought(request)

        async def unit(tx: Tx) -> list[Project]:
            return [found for found in await projects_with_roles(tx, request.ctx.user_id, groups) if found.enabled]

        shown = [show_project(found, request.base) for found in await self._ground.db.read(unit)]
        return Response(200, page(request, path, "projects", shown))

    async def _domains(self, path: str, request: Request) -> Response:
        groups = await self._brought(request)

        async def unit(tx: Tx) -> list[Domain]:
            return [found for found in await domains_with_roles(tx, request.ctx.user_id, groups) if found.enabled]

        shown = [show_domain(found, request.base) for found in await self._ground.db.read(unit)]
        return Response(200, page(request, path, "domains", shown))

    async def _system(self, request: Request) -> Response:
        groups = await self._brought(request)
        held = await self._ground.db.read(lambda tx: effective_roles(tx, request.ctx.user_id, Place("system"), groups))
        shown = {"system": [{"all": True}] if held else [], "links": {"self": request.link("/auth/system")}}
        return Response(200, shown)


def show_token(claims: Claims) -> Shown:
    """Without the catalog."""
    shown: Shown = {
        "methods": claims.methods,
        "user": {
            "domain": {"id": claims.user_domain_id, "name": claims.user_domain_name},
            "id": claims.user_id,
            "name": claims.user_name,
            "password_expires_at": show_end(claims.password_expires_at),
        },
        "audit_ids": claims.audit_ids,
        "expires_at": show_time(claims.expires_at),
        "issued_at": show_time(claims.issued_at),
    }
    if claims.provider_id:
        del shown["user"]["password_expires_at"]
        shown["user"]["OS-FEDERATION"] = {
            "groups": [{"id": group_id} for group_id in claims.group_ids],
            "identity_provider": {"id": claims.provider_id},
            "protocol": {"id": claims.protocol_id},
        }
    if claims.project_id:
        shown["project"] = {
            "domain": {"id": claims.project_domain_id, "name": claims.project_domain_name},
            "id": claims.project_id,
            "name": claims.project_name,
        }
        if claims.trust is None:
            # a domain is never what a token is for as a project
            shown["is_domain"] = False
    if claims.domain_id:
        shown["domain"] = {"id": claims.domain_id, "name": claims.domain_name}
    if claims.system:
        shown["system"] = {"all": True}
    if claims.is_scoped:
        shown["roles"] = [{"id": role_id, "name": name} for role_id, name in claims.roles]
    if claims.trust is not None:
        shown["OS-TRUST:trust"] = {
            "id": claims.trust.id,
            "trustor_user": {"id": claims.trust.trustor_id},
            "trustee_user": {"id": claims.trust.trustee_id},
            "impersonation": claims.trust.impersonation,
        }
    if claims.access_token_id:
        shown["OS-OAUTH1"] = {"access_token_id": claims.access_token_id, "consumer_id": claims.consumer_id}
    if claims.credential_id:
        shown["application_credential"] = {
            "id": claims.credential_id,
            "name": claims.credential_name,
            "restricted": not claims.unrestricted,
        }
        if claims.access_rules:
            shown["application_credential"]["access_rules"] = [show_access_rule(rule) for rule in claims.access_rules]
    return shown


def show_receipt(needed: MoreNeeded, receipt: Receipt) -> Shown:
    """What has been shown, and the combinations of methods of which one is still to be completed."""
    user, domain = needed.user, needed.domain
    return {
        "receipt": {
            "methods": receipt.methods,
            "user": {"id": user.id, "name": user.name, "domain": {"id": domain.id, "name": domain.name}},
            "expires_at": show_time(receipt.expires_at),
            "issued_at": show_time(receipt.issued_at),
        },
        "required_auth_methods": needed.required,
    }


def _headers(token: str) -> dict[str, str]:
    return {"X-Subject-Token": token, "Vary": "X-Auth-Token"}


def routes(ground: Ground, tokens: Tokens, sign_in: SignIn) -> tuple[Route, ...]:
    """Everything under `/auth`."""
    return TokensApi(ground, tokens, sign_in).routes()
