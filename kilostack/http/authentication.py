"""What the HTTP layer needs to know who asks."""

from __future__ import annotations

from typing import Protocol

from kilostack.core.context import Context


class Authenticator(Protocol):
    """Turns a token into its verified caller, without a call per request."""

    async def context(self, token: str, *, writing: bool) -> Context:
        """The caller (request ids left empty).

        Raises `Unauthenticated`; `Unavailable` if the request is `writing` and revocations are not known well enough.
        """
