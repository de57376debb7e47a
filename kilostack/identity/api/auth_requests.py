"""The body of a login: who it says that it is, and what the token is to be for."""

from __future__ import annotations

from typing import Any

import msgspec

from kilostack.core.errors import BadRequest
from kilostack.http.schemas import Schema
from kilostack.identity.app.proof import DomainName, Named, Scope, expecting

_SCOPES = "system, project, domain, OS-TRUST:trust or unscoped"
_TEXT = {"type": "string"}


def _fields(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


_DOMAIN = _fields(id=_TEXT, name=_TEXT)
_AUTH = Schema(
    {
        "type": "object",
        "required": ["identity"],
        "properties": {
            "identity": {
                "type": "object",
                "required": ["methods"],
                "properties": {
                    "methods": {"type": "array", "items": _TEXT},
                    "password": _fields(user=_fields(id=_TEXT, name=_TEXT, password=_TEXT, domain=_DOMAIN)),
                    "token": _fields(id=_TEXT) | {"required": ["id"]},
                },
            },
            "scope": {
                "type": ["object", "string"],
                "properties": {
                    "project": _fields(id=_TEXT, name=_TEXT, domain=_DOMAIN),
                    "domain": _DOMAIN,
                    "system": _fields(all={"type": "boolean"}),
                    "OS-TRUST:trust": _fields(id=_TEXT),
                },
            },
        },
    }
)


class AuthRequest(msgspec.Struct, frozen=True):
    """`identity` is as the client sent it, each known part in the right form; no scope asks for the default."""

    identity: dict[str, Any]
    scope: Scope | None


def auth_request(document: Any) -> AuthRequest:
    """A login from its body. Raises `BadRequest`."""
    auth = document.get("auth") if isinstance(document, dict) else None
    if auth is None:
        raise expecting("auth", "request body")
    _AUTH.check(auth)
    identity = auth["identity"]
    if (user := identity.get("password", {}).get("user")) is not None:
        _check_named(user, "identity/password/user")
    return AuthRequest(identity, _scope(auth["scope"]) if "scope" in auth else None)


def _scope(asked: dict[str, Any] | str) -> Scope:
    if asked == "unscoped":
        return Scope()
    kinds = {"system", "project", "domain", "OS-TRUST:trust", "unscoped"}.intersection(asked)
    if isinstance(asked, str) or len(kinds) != 1:
        raise expecting(_SCOPES, "scope")
    kind = kinds.pop()
    if kind in ("project", "domain"):
        _check_named(asked[kind], f"scope/{kind}")
    if kind == "project":
        project = asked["project"]
        if "name" in project and "domain" not in project:
            raise expecting("domain", "project")
        return Scope(project=msgspec.convert(project, Named))
    if kind == "domain":
        return Scope(domain=msgspec.convert(asked["domain"], DomainName))
    if kind == "OS-TRUST:trust":
        if not asked[kind].get("id"):
            raise expecting("trust_id", "trust")
        return Scope(trust_id=asked[kind]["id"])
    # whatever it says of `all`: there is one system
    return Scope(system=kind == "system")


def _check_named(part: dict[str, Any], where: str) -> None:
    """Raise unless a user, project or domain, and the domain that it is in, have a name or an id."""
    if "id" not in part and "name" not in part:
        raise BadRequest(f"Invalid input for field {where}: id or name must be present.", field=where)
    if "domain" in part:
        _check_named(part["domain"], f"{where}/domain")
