"""From the claims of an identity provider's token to what the rules of mappings read.

Mappings in the world were written for a web server in front that hands claims on under names of its own. Each claim is
there under all names that are in use, so that such a mapping needs no change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kilostack.identity.model.federation_rules import Assertion

#: names that begin so are made here, and never taken from a claim
_OURS = ("OIDC", "HTTP_", "REMOTE_USER")


def assertion_of(claims: Mapping[str, Any]) -> Assertion:
    """The claim `sub` is also `OIDC-sub`, `OIDC_CLAIM_sub`, `HTTP_OIDC_SUB`, `HTTP_OIDC_CLAIM_SUB`.

    A list has several values; a structure is its JSON text; what is null or empty is not said.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name, value in claims.items():
        values = _values(value)
        if not values or name.startswith(_OURS):
            continue
        for other in (name, f"OIDC-{name}", f"OIDC_CLAIM_{name}"):
            found[other] = values
        if name == name.lower():
            header = name.upper().replace("-", "_")
            found[f"HTTP_OIDC_{header}"] = found[f"HTTP_OIDC_CLAIM_{header}"] = values
    if "sub" in found:
        found["REMOTE_USER"] = found["sub"]
    return found


def _values(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    return tuple(_text(item) for item in items if item is not None)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    return msgspec.json.encode(value).decode()
