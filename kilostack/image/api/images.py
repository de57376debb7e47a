"""Images over HTTP: list, show, create, change, tags, delete."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from kilostack.core.errors import BadRequest
from kilostack.core.world import Micros
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.image.api import patches
from kilostack.image.api.listing import asked
from kilostack.image.api.schemas import ATTRIBUTES
from kilostack.image.app.images import Images
from kilostack.image.model.image import Image

_MAX_TAG = 255


def shown(image: Image) -> dict[str, Any]:
    """The image as the API shows it; custom properties are at the top level."""
    path = f"/v2/images/{image.id}"
    return {
        **image.properties,
        "id": image.id,
        "name": image.name,
        "status": image.status.value,
        "visibility": image.visibility,
        "protected": image.protected,
        "os_hidden": image.hidden,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "size": image.size_bytes,
        "virtual_size": image.virtual_size_bytes,
        "checksum": image.md5,
        "os_hash_algo": None if image.sha512 is None else "sha512",
        "os_hash_value": image.sha512,
        "min_disk": image.min_disk_gib,
        "min_ram": image.min_ram_mib,
        "owner": image.owner or None,
        "tags": list(image.tags),
        "created_at": _time(image.created_at),
        "updated_at": _time(image.updated_at),
        "self": path,
        "file": f"{path}/file",
        "schema": "/v2/schemas/image",
    }


def _time(micros: Micros) -> str:
    return datetime.fromtimestamp(micros // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class ImagesApi:
    """Handlers of the collection and its members."""

    def __init__(self, images: Images) -> None:
        self._images = images

    def routes(self) -> tuple[Route, ...]:
        one = "/images/{image_id}"
        return (
            Route(method="GET", path="/images", handler=self.list),
            Route(method="POST", path="/images", handler=self.create, body=ATTRIBUTES),
            Route(method="GET", path=one, handler=self.show),
            Route(method="PATCH", path=one, handler=self.change),
            Route(method="DELETE", path=one, handler=self.delete),
            Route(method="PUT", path=f"{one}/tags/{{tag}}", handler=self.add_tag),
            Route(method="DELETE", path=f"{one}/tags/{{tag}}", handler=self.remove_tag),
            Route(method="POST", path=f"{one}/actions/deactivate", handler=self.deactivate),
            Route(method="POST", path=f"{one}/actions/reactivate", handler=self.reactivate),
        )

    async def list(self, request: Request) -> Response:
        ask, visibility = asked(request.query)
        found, full = await self._images.list(request.ctx, ask, visibility)
        body: dict[str, Any] = {"images": [shown(image) for image in found], "schema": "/v2/schemas/images"}
        rest = request.query.without("marker")
        body["first"] = "/v2/images" + (f"?{urlencode(rest)}" if rest else "")
        if full and found:
            body["next"] = f"/v2/images?{urlencode([*rest, ('marker', found[-1].id)])}"
        return Response(200, body)

    async def show(self, request: Request) -> Response:
        return Response(200, shown(await self._images.get(request.ctx, request.params["image_id"])))

    async def create(self, request: Request) -> Response:
        image = await self._images.create(request.ctx, await request.json())
        return Response(201, shown(image), headers={"Location": request.link(f"/images/{image.id}")})

    async def change(self, request: Request) -> Response:
        older = patches.check_media_type(request.headers.get("content-type", ""))
        changes = patches.parsed(await request.json(), older=older)
        return Response(200, shown(await self._images.update(request.ctx, request.params["image_id"], changes)))

    async def delete(self, request: Request) -> Response:
        await self._images.delete(request.ctx, request.params["image_id"])
        return Response(204)

    async def add_tag(self, request: Request) -> Response:
        tag = request.params["tag"]
        if len(tag) > _MAX_TAG:
            raise BadRequest(f"A tag may have at most {_MAX_TAG} characters.", field="tag")
        await self._images.tag(request.ctx, request.params["image_id"], tag, present=True)
        return Response(204)

    async def remove_tag(self, request: Request) -> Response:
        await self._images.tag(request.ctx, request.params["image_id"], request.params["tag"], present=False)
        return Response(204)

    async def deactivate(self, request: Request) -> Response:
        await self._images.deactivate(request.ctx, request.params["image_id"])
        return Response(204)

    async def reactivate(self, request: Request) -> Response:
        await self._images.reactivate(request.ctx, request.params["image_id"])
        return Response(204)
