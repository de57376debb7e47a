"""Errors as each service's clients expect them: status and body of every kind of `core.errors`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from kilostack.core import errors
from kilostack.http.microversions import show

_STATUS: tuple[tuple[type[errors.Error], int], ...] = (
    (errors.TooLarge, 413),
    (errors.BadRequest, 400),
    (errors.Unauthenticated, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.NotAcceptable, 406),
    (errors.PreconditionFailed, 412),
    (errors.UnsupportedMedia, 415),
    (errors.Unsupported, 501),
    (errors.Unavailable, 503),
    (errors.Refused, 409),
)

TITLES = {
    300: "Multiple Choices",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    409: "Conflict",
    410: "Gone",
    412: "Precondition Failed",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}


class Dialect(msgspec.Struct, frozen=True):
    """How one service says no."""

    body: Callable[[errors.Error, int, str], Any]
    #: status of an exceeded quota
    quota_status: int = 403

    def status(self, error: errors.Error) -> int:
        if isinstance(error, errors.OverQuota):
            return self.quota_status
        if (fixed := error.facts.get("status")) is not None:
            return int(fixed)
        return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


_NOVA = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    406: "notAcceptable",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}


def _nova(error: errors.Error, status: int, request_id: str) -> Any:
    inner: dict[str, Any] = {"code": status, "message": error.message}
    if isinstance(error, errors.NotAcceptable):
        return {
            "computeFault": inner,
            "errors": [
                {
                    "request_id": request_id,
                    "code": "",
                    "status": 406,
                    "title": "Requested microversion is unsupported",
                    "detail": error.message,
                    "max_version": show(error.facts["maximum"]),
                    "min_version": show(error.facts["minimum"]),
                    "links": [],
                }
            ],
        }
    return {_NOVA.get(status, "computeFault"): inner}


def keystone_body(error: errors.Error, status: int, request_id: str) -> Any:
    """`{"error": {"code", "title", "message"}}`, also what a missing token gets from every service."""
    return {"error": {"code": status, "message": error.message, "title": TITLES.get(status, "Error")}}


def _neutron(error: errors.Error, status: int, request_id: str) -> Any:
    default = {404: "HTTPNotFound", 400: "HTTPBadRequest", 403: "PolicyNotAuthorized", 409: "Conflict"}
    kind = error.kind or ("OverQuota" if isinstance(error, errors.OverQuota) else default.get(status, "HTTPError"))
    return {"NeutronError": {"type": kind, "message": error.message, "detail": str(error.facts.get("detail", ""))}}


def _glance(error: errors.Error, status: int, request_id: str) -> Any:
    return {
        "message": error.message,
        "code": f"{status} {TITLES.get(status, 'Error')}",
        "title": TITLES.get(status, "Error"),
    }


NOVA = Dialect(_nova)
KEYSTONE = Dialect(keystone_body)
NEUTRON = Dialect(_neutron, quota_status=409)
GLANCE = Dialect(_glance, quota_status=413)
PLAIN = Dialect(keystone_body)
