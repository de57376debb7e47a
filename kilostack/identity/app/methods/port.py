"""What a way to log in must be able to do."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import msgspec

from kilostack.identity.app.proof import Proof


class Method(Protocol):
    """One of the names in `identity.methods`, and the part of the request that goes with it."""

    name: ClassVar[str]
    #: the shape of its part
    part: ClassVar[type[msgspec.Struct]]

    async def prove(self, part: Any, address: str) -> Proof:
        """Who has shown `part` from `address`.

        Raises `Unauthenticated`; `Forbidden` (429) after too many failures; `BadRequest` when something is missing. Who
        is wrong, unknown, disabled or late gets the same answer in the same time.
        """
