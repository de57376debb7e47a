"""Whom a refused log in was about, for the audit log: an id when it is the id of somebody, never what was typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kilostack.core.errors import BadRequest
from kilostack.identity.app.proof import Named, found_user
from kilostack.identity.store.application_credentials import APPLICATION_CREDENTIALS
from kilostack.store.database import Tx


async def attempted(tx: Tx, identity: Mapping[str, Any]) -> str:
    """The id of the user that the `identity` part of a request names; "" for nobody.

    People type passwords where a name belongs, so a name that nobody has is not told.
    """
    for part in identity.values():
        if not isinstance(part, Mapping):
            continue
        credential_id = part.get("id")
        if "user" not in part and isinstance(credential_id, str):
            credential = await APPLICATION_CREDENTIALS.find(tx, id=credential_id)
            if credential is not None:
                return credential.user_id
        try:
            user = await found_user(tx, msgspec.convert(part.get("user"), Named))
        except (msgspec.ValidationError, BadRequest):
            continue
        if user is not None:
            return user.id
    return ""
