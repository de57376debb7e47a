"""`/policies`, and `OS-ENDPOINT-POLICY`: which endpoint has which."""

from __future__ import annotations

from kilostack.http.messages import Request, Response
from kilostack.http.routes import Handler, Route
from kilostack.http.schemas import Schema
from kilostack.identity.api.catalog import show_endpoint
from kilostack.identity.api.collections import CollectionApi, here, page
from kilostack.identity.api.parts import Shown, links, pair
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.policy_documents import PolicyAssociations, PolicyDocuments
from kilostack.identity.model.policy_documents import PolicyDocument, Subject

POLICY: tuple[Schema, Schema] = pair(
    "policy", {"blob": {"type": "string"}, "type": {"type": "string", "maxLength": 255}}, ["blob", "type"]
)


_UNDER = "OS-ENDPOINT-POLICY"
#: subject of an association -> its place in paths
_SUBJECTS = (
    "endpoints/{endpoint_id}",
    "services/{service_id}",
    "services/{service_id}/regions/{region_id}",
)


def show_policy(record: PolicyDocument, base: str) -> Shown:
    return {
        **record.extra,
        "id": record.id,
        "blob": record.blob,
        "type": record.type,
        "links": links(base, "policies", record.id),
    }


class PolicyDocumentsApi(CollectionApi[PolicyDocument]):
    """Here upstream asks who somebody is before it looks at what they sent."""

    def __init__(self, documents: PolicyDocuments) -> None:
        super().__init__(documents, POLICY, show_policy)
        self._documents = documents

    async def _create(self, request: Request) -> Response:
        self._documents.check_may(request.ctx, "create_policy")
        return await super()._create(request)

    async def _update(self, request: Request) -> Response:
        self._documents.check_may(request.ctx, "update_policy")
        return await super()._update(request)


class PolicyAssociationsApi:
    """Which endpoint has which document."""

    def __init__(self, ground: Ground) -> None:
        self._associations, self._public_url = PolicyAssociations(ground), ground.settings.public_url

    def routes(self) -> tuple[Route, ...]:
        under = f"/policies/{{record_id}}/{_UNDER}"
        handlers: tuple[tuple[str, Handler], ...] = (
            ("GET", self._check),
            ("PUT", self._create),
            ("DELETE", self._delete),
        )
        return (
            *(
                Route(method=method, path=f"{under}/{subject}", handler=handler)
                for subject in _SUBJECTS
                for method, handler in handlers
            ),
            Route(method="GET", path=f"{under}/endpoints", handler=self._endpoints),
            Route(method="GET", path=f"/endpoints/{{record_id}}/{_UNDER}/policy", handler=self._policy),
        )

    async def _check(self, request: Request) -> Response:
        await self._associations.check(request.ctx, request.params["record_id"], _subject(request))
        return Response(204)

    async def _create(self, request: Request) -> Response:
        await self._associations.create(request.ctx, request.params["record_id"], _subject(request))
        return Response(204)

    async def _delete(self, request: Request) -> Response:
        await self._associations.delete(request.ctx, request.params["record_id"], _subject(request))
        return Response(204)

    async def _endpoints(self, request: Request) -> Response:
        found = await self._associations.endpoints(request.ctx, request.params["record_id"])
        shown = [show_endpoint(record, request.base, self._public_url) for record in found]
        return Response(200, page(request, here(request), "endpoints", shown))

    async def _policy(self, request: Request) -> Response:
        record = await self._associations.policy_of(request.ctx, request.params["record_id"])
        # upstream links it below endpoints
        shown = show_policy(record, request.base) | {"links": links(request.base, "endpoints", record.id)}
        return Response(200, {"policy": shown})


def _subject(request: Request) -> Subject:
    return Subject(**{name: value for name, value in request.params.items() if name != "record_id"})


def routes(ground: Ground) -> tuple[Route, ...]:
    """Policy documents and their associations."""
    return (
        *PolicyDocumentsApi(PolicyDocuments(ground)).routes(),
        *PolicyAssociationsApi(ground).routes(),
    )
