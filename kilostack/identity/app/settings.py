"""What an operator may choose of identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from kilostack.core.secret import Secret
from kilostack.identity.model.limits import ModelName
from kilostack.identity.model.passwords import PasswordRules


class IdentitySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator may choose."""

    token_life_s: Annotated[int, msgspec.Meta(ge=1, le=366 * 86400)] = 3600
    #: the root of catalog URLs; None: where each client reached the cloud
    public_url: str | None = None
    region: str = "RegionOne"
    passwords: PasswordRules = PasswordRules()
    limit_model: ModelName = "flat"
    #: minutes for which the groups that an identity provider has named hold after the visit; a provider may say other
    authorization_ttl_min: Annotated[int, msgspec.Meta(ge=0)] = 0
    #: where browsers may be sent with a token after they have logged in at an identity provider
    trusted_dashboards: tuple[str, ...] = ()
    #: issuer -> the secret with which we come to it for them, where our client there has one
    client_secrets: Mapping[str, Secret] = {}
