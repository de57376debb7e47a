"""Which kind of user a policy lets do what: computed from the compiled rules, by trying them on things that are theirs
and on things that are not."""

from __future__ import annotations

from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.policy import Policy

_ROLES = ("admin", "manager", "member", "reader")
_MINE, _OTHER = "mine", "other"


class Persona(msgspec.Struct, frozen=True):
    """A typical user."""

    name: str
    ctx: Context


def _persona(scope: str, role: str) -> Persona:
    fields: dict[str, Any] = {"user_id": _MINE, "user_domain_id": _MINE}
    if scope == "system":
        fields["system"] = True
    elif scope == "domain":
        fields["domain_id"] = _MINE
    else:
        fields |= {"project_id": _MINE, "project_domain_id": _MINE}
    # a role brings those below it
    roles = _ROLES[_ROLES.index(role) :] if role in _ROLES else (role,)
    return Persona(f"{scope} {role}", Context(request_id="", roles=roles, **fields))


PERSONAS = (
    *(_persona("system", role) for role in ("admin", "member", "reader")),
    *(_persona("domain", role) for role in _ROLES),
    *(_persona("project", role) for role in _ROLES),
    Persona("service", _persona("project", "service").ctx),
    Persona("nobody", Context(request_id="", user_id=_MINE, user_domain_id=_MINE)),
)

#: what a cell says, from the widest reach to none
REACHES = {
    "all": "on everything",
    "own": "on what is in their own project or domain",
    "self": "on what is their own user's",
    "": "not at all",
}


def reach(policy: Policy, name: str, persona: Persona) -> str:
    """How far the rule lets the persona go; one of `REACHES`."""
    keys = policy.keys(name)
    for found, place, user in (("all", _OTHER, _OTHER), ("own", _MINE, _OTHER), ("self", _MINE, _MINE)):
        if policy.allows(persona.ctx, name, {key: _value(key, place, user) for key in keys}):
            return found
    return ""


def _value(key: str, place: str, user: str) -> Any:
    """What a typical thing has under `key`, if it is in `place` and belongs to `user`."""
    last = key.replace(":", ".").rpartition("target.")[2]
    if last.endswith(("user_id", "user.id")):
        return user
    if last == "role.domain_id":
        # most roles are of no domain
        return None
    if last == "role.name":
        return "member" if place == _MINE else "admin"
    if last.endswith(("domain_id", "domain.id", "project_id", "project.id", "tenant_id", "owner")):
        return place
    return "nothing special"
