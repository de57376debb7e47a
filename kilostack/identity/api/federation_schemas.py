"""Schemas of what is put under `/OS-FEDERATION`, the rules of mappings among them."""

from __future__ import annotations

from typing import Any

from kilostack.core.errors import BadRequest
from kilostack.http.schemas import Schema, objects, wrapped
from kilostack.identity.api.parts import ID, MAYBE_TEXT

_TRUE = frozenset({True, "true", "1", "y", "on", "yes"})
_FALSE = frozenset({False, "false", "", "0", "n", "off", "no"})
#: truth as upstream takes it; what it makes of texts is `as_boolean`
_TRUTH = {
    "anyOf": [
        {"type": "boolean"},
        {"type": "string", "pattern": "^([Tt]rue|TRUE|[Ff]alse|FALSE|[01]?|[yYnN]|on|ON|off|OFF|yes|no)$"},
    ]
}
_TEXT: dict[str, Any] = {"type": "string"}
# longer than upstream's 64: that is shorter than the issuers of large providers are
_REMOTE_ID = {"type": "string", "maxLength": 255}
_URL = {"type": "string", "maxLength": 225, "pattern": "^[a-zA-Z0-9+.-]+:.+"}
_MAPPING_ID = {"type": "string", "minLength": 1, "maxLength": 64}

_PROVIDER = {
    "enabled": _TRUTH,
    "description": MAYBE_TEXT,
    "authorization_ttl": {"type": ["integer", "null"], "minimum": 0, "maximum": 2**31 - 1},
    "remote_ids": {"type": ["array", "null"], "items": _REMOTE_ID, "uniqueItems": True, "maxItems": 1000},
}
_SERVICE = {
    "auth_url": _URL,
    "sp_url": _URL,
    "description": MAYBE_TEXT,
    "enabled": _TRUTH,
    "relay_state_prefix": {"type": ["string", "null"], "maxLength": 255},
}


def _change(fields: dict[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    return objects(fields, required) | {"minProperties": 1}


IDENTITY_PROVIDER = (
    # a provider without any attribute is one that will be described later
    Schema(
        objects(
            {"identity_provider": objects(_PROVIDER | {"domain_id": {"anyOf": [ID, {"type": "null"}]}})},
        )
    ),
    wrapped("identity_provider", _change(_PROVIDER)),
)


PROTOCOL = (
    wrapped(
        "protocol",
        objects(
            {"mapping_id": _MAPPING_ID, "remote_id_attribute": _REMOTE_ID | {"type": ["string", "null"]}},
            ["mapping_id"],
        ),
    ),
    wrapped("protocol", _change({"mapping_id": _MAPPING_ID, "remote_id_attribute": _REMOTE_ID}, ("mapping_id",))),
)


SERVICE_PROVIDER = (
    wrapped("service_provider", objects(_SERVICE, ["auth_url", "sp_url"])),
    wrapped("service_provider", _change(_SERVICE)),
)


#: of the body; the rules themselves are checked by the version that they name
MAPPING = Schema(
    objects({"mapping": objects({"schema_version": {"type": ["string", "null"]}}, extra=True)}, extra=True)
)

_DOMAIN = objects({"id": _TEXT, "name": _TEXT})
_USER = objects(
    {"id": _TEXT, "name": _TEXT, "email": _TEXT, "domain": _DOMAIN, "type": {"enum": ["ephemeral", "local"]}}
)
_GROUP = {"oneOf": [objects({"id": _TEXT}, ["id"]), objects({"name": _TEXT, "domain": _DOMAIN}, ["name", "domain"])]}
_PROJECT = {"name": _TEXT, "roles": {"type": "array", "items": objects({"name": _TEXT}, ["name"])}}
_REMOTE = {
    "oneOf": [
        objects({"type": _TEXT}, ["type"]),
        *(
            objects({"type": _TEXT, kind: {"type": "array"}, "regex": {"type": "boolean"}}, ["type", kind])
            for kind in ("any_one_of", "not_any_of", "blacklist", "whitelist")
        ),
    ]
}


def _rules(project: dict[str, Any], **more: Any) -> Schema:
    local = objects(
        {
            "user": _USER,
            "projects": {"type": "array", "items": objects(project, ["name", "roles"])},
            "group": _GROUP,
            "groups": _TEXT,
            "group_ids": _TEXT,
            "domain": _DOMAIN,
            **more,
        }
    )
    rule = objects(
        {"local": {"type": "array", "items": local}, "remote": {"type": "array", "minItems": 1, "items": _REMOTE}},
        ["local", "remote"],
    )
    rules = {"type": "array", "minItems": 1, "items": rule}
    return Schema(objects({"rules": rules, "schema_version": _TEXT}, ["rules"], extra=True))


#: by the version that a mapping names
MAPPING_RULES = {
    "1.0": _rules(_PROJECT),
    "2.0": _rules(_PROJECT | {"domain": _DOMAIN}),
    "3.0": _rules(_PROJECT | {"domain": _DOMAIN}, projects_json=_TEXT),
}


def as_boolean(value: bool | str) -> bool:
    """What upstream makes of a truth value. Raises `BadRequest`."""
    plain = value.lower() if isinstance(value, str) else value
    if plain not in _TRUE | _FALSE:
        raise BadRequest(f"Invalid input for field/attribute enabled. Value: {value[:40]}.", field="enabled")  # type: ignore[index]
    return plain in _TRUE
