"""Application credentials over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from kilostack.core.errors import BadRequest
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.http.schemas import objects, wrapped
from kilostack.identity.api.collections import page
from kilostack.identity.api.parts import ID, MAYBE_TEXT, NAME, Shown, links, show_time
from kilostack.identity.app.application_credentials import ApplicationCredentials, Full
from kilostack.identity.app.application_credentials import Wanted as WantedCredential
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.tokens import Tokens

APPLICATION_CREDENTIAL = wrapped(
    "application_credential",
    objects(
        {
            "name": NAME,
            "description": MAYBE_TEXT,
            "secret": {"type": ["string", "null"], "minLength": 1, "maxLength": 4096},
            "expires_at": {"type": ["string", "null"]},
            "unrestricted": {"type": ["boolean", "null"]},
            "project_id": ID,
            "roles": {
                "type": "array",
                "items": {"type": "object", "anyOf": [{"required": ["id"]}, {"required": ["name"]}]},
            },
            # to take a rule and not to hold it would open what its owner wants closed
            "access_rules": {"type": "array", "maxItems": 0},
        },
        ["name"],
    ),
)


def show_application_credential(full: Full, base: str) -> Shown:
    record = full.credential
    return {
        "id": record.id,
        "name": record.name,
        "description": record.description,
        "project_id": record.project_id,
        "user_id": record.user_id,
        "system": None,
        "roles": [{"id": one.id, "name": one.name, "domain_id": None} for one in full.roles],
        # alone among identity's times it has no zone
        "expires_at": None if record.expires_at is None else show_time(record.expires_at).removesuffix("Z"),
        "unrestricted": record.unrestricted,
        "links": links(base, f"users/{record.user_id}/application_credentials", record.id),
    }


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ApplicationCredentialsApi:
    """Application credentials."""

    def __init__(self, credentials: ApplicationCredentials, tokens: Tokens) -> None:
        self._credentials, self._tokens = credentials, tokens

    def routes(self) -> tuple[Route, ...]:
        path = "/users/{record_id}/application_credentials"
        one = path + "/{credential_id}"
        return (
            Route(method="GET", path=path, handler=self._list),
            Route(method="POST", path=path, handler=self._create, body=APPLICATION_CREDENTIAL),
            Route(method="GET", path=one, handler=self._show),
            Route(method="DELETE", path=one, handler=self._delete),
        )

    async def _list(self, request: Request) -> Response:
        user_id = request.params["record_id"]
        found = await self._credentials.page(request.ctx, user_id, request.query.first("name"))
        shown = [show_application_credential(full, request.base) for full in found]
        path = f"/users/{user_id}/application_credentials"
        return Response(200, page(request, path, "application_credentials", shown))

    async def _create(self, request: Request) -> Response:
        given = (await request.json())["application_credential"]
        claims = await self._tokens.caller(request.token)
        if given.get("project_id", claims.project_id) != claims.project_id:
            raise BadRequest("Invalid application credential: project_id is not that of the token", field="project_id")
        wanted = WantedCredential(
            name=given["name"],
            description=given.get("description"),
            roles=tuple((str(role.get("id", "")), str(role.get("name", ""))) for role in given.get("roles", ())),
            secret=given.get("secret"),
            unrestricted=bool(given.get("unrestricted")),
            expires_at=_time(given.get("expires_at")),
        )
        full, secret = await self._credentials.create(request.ctx, claims, request.params["record_id"], wanted)
        shown = show_application_credential(full, request.base) | {"secret": secret}
        return Response(201, {"application_credential": shown})

    async def _show(self, request: Request) -> Response:
        full = await self._credentials.show(request.ctx, request.params["record_id"], request.params["credential_id"])
        return Response(200, {"application_credential": show_application_credential(full, request.base)})

    async def _delete(self, request: Request) -> Response:
        claims = await self._tokens.caller(request.token)
        user_id, credential_id = request.params["record_id"], request.params["credential_id"]
        await self._credentials.delete(request.ctx, claims, user_id, credential_id)
        return Response(204)


def _time(text: str | None) -> int | None:
    """Microseconds of a time such as 2030-01-01T00:00:00.000000Z; without a zone it is UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise BadRequest(
            f"Invalid input for field/attribute expires_at. Value: {text[:64]!r}. It must be a time such as "
            "2030-01-01T00:00:00.000000Z.",
            field="expires_at",
        ) from None


def routes(ground: Ground, issuing: Tokens) -> tuple[Route, ...]:
    """Application credentials of users."""
    return ApplicationCredentialsApi(ApplicationCredentials(ground), issuing).routes()
