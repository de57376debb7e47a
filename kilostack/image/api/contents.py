"""Contents over HTTP: upload, and download in whole or in part."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncIterator

from kilostack.core.errors import BadRequest, UnsupportedMedia
from kilostack.drivers.blobs.port import Blobs, Reader
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.image.app.images import Images
from kilostack.image.app.uploads import Upload, Uploads

_OCTETS = "application/octet-stream"
_PIECE_BYTES = 1 << 20
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")
_MD5 = re.compile(r"[0-9a-fA-F]{32}")


class ContentsApi:
    """Handlers of `/images/{id}/file`."""

    def __init__(self, images: Images, uploads: Uploads, blobs: Blobs) -> None:
        self._images, self._uploads, self._blobs = images, uploads, blobs

    def routes(self) -> tuple[Route, ...]:
        path = "/images/{image_id}/file"
        return (
            Route(method="PUT", path=path, handler=self.upload),
            Route(method="GET", path=path, handler=self.download),
        )

    async def upload(self, request: Request) -> Response:
        found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if found != _OCTETS:
            raise UnsupportedMedia(f"Invalid content type {found or '(none)'}; use {_OCTETS}.")
        told = Upload(size_bytes=_announced_size(request), md5=_announced_md5(request))
        await self._uploads.upload(request.ctx, request.params["image_id"], request.body.stream(), told)
        return Response(204)

    async def download(self, request: Request) -> Response:
        image = await self._images.readable(request.ctx, request.params["image_id"])
        if not image.has_content:
            return Response(204)
        size = image.size_bytes or 0
        asked = _range(request.headers.get("range", ""), size)
        headers = {"Content-Type": _OCTETS, "Accept-Ranges": "bytes"}
        if image.md5 is not None:
            headers["Content-MD5"] = image.md5
        if asked is not None and asked[0] >= asked[1]:
            return Response(416, headers={"Content-Range": f"bytes */{size}"})
        start, end = asked or (0, size)
        headers["Content-Length"] = str(end - start)
        if asked is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        status = 200 if asked is None else 206
        if request.method == "HEAD":
            return Response(status, headers=headers)
        reader = await self._blobs.open(image.id)
        return Response(status, headers=headers, stream=_pieces(reader, start, end))


async def _pieces(reader: Reader, start: int, end: int) -> AsyncIterator[bytes]:
    try:
        while start < end:
            piece = await reader.read(start, min(_PIECE_BYTES, end - start))
            if not piece:
                raise ConnectionError("the content is shorter than its record says")
            start += len(piece)
            yield piece
    finally:
        reader.close()


def _announced_size(request: Request) -> int | None:
    text = request.headers.get("x-openstack-image-size")
    if text is None:
        return request.body.length
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadRequest("Invalid image size in request headers.", field="x-openstack-image-size")
    return int(text)


def _announced_md5(request: Request) -> str | None:
    """Content-MD5 in base64 as the standard has it, or hexadecimal as this API sends it."""
    text = request.headers.get("content-md5")
    if text is None:
        return None
    if _MD5.fullmatch(text):
        return text.lower()
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 16:
        raise BadRequest("Invalid Content-MD5 header.", field="content-md5")
    return digest.hex()


def _range(text: str, size: int) -> tuple[int, int] | None:
    """(start, end) of the one range that was asked for; None for the whole, also where the header makes no sense."""
    if (match := _RANGE.fullmatch(text.strip())) is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return max(0, size - int(match[2])), size
    start = int(match[1])
    end = min(int(match[2]) + 1, size) if match[2] else size
    if match[2] and int(match[2]) < start:
        return None
    return start, end
