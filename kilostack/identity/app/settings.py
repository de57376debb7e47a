"""What an operator may choose of identity."""

from __future__ import annotations

import msgspec


class IdentitySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator may choose."""

    token_life_s: int = 3600
    #: the root of catalog URLs; None: where each client reached the cloud
    public_url: str | None = None
    region: str = "RegionOne"
