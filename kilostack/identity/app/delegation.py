"""Tokens that somebody was handed, and what their bearers may not do: make themselves something that lasts longer."""

from __future__ import annotations

from kilostack.core.errors import Forbidden
from kilostack.core.token import Claims
from kilostack.identity.app.policies import forbidden

#: the way in of a request that an EC2 or S3 credential signed; nobody can log in by it
EC2 = "ec2credential"

#: ways in by which users show themselves who they are; every other one is a delegation, ones to come included
_PRIMARY = frozenset({"external", "kerberos", "mapped", "openid", "password", "saml2", "token", "totp", "x509"})


def is_delegated(claims: Claims) -> bool:
    """Whether the bearer acts on what somebody else, or a credential, lets them."""
    return claims.trust is not None or not claims.methods or not _PRIMARY.issuperset(claims.methods)


def check_may_use_credentials(claims: Claims) -> None:
    """Raise `Forbidden` for a token that may neither make nor read credentials."""
    if is_delegated(claims):
        raise forbidden("Delegated tokens cannot access credentials directly")


def check_may_manage_credentials(claims: Claims) -> None:
    """Raise `Forbidden` for a token of a credential that may not make others."""
    if claims.credential_id and not claims.unrestricted:
        raise Forbidden(
            "You are not authorized to perform the requested action: Using method 'application_credential' is not "
            "allowed for managing additional application credentials.."
        )


def check_may_use_application_credentials(claims: Claims) -> None:
    """Raise `Forbidden` for a delegated token; that of an application credential has rules of its own."""
    if "application_credential" not in claims.methods and is_delegated(claims):
        raise Forbidden("Cannot manage application credentials with a token issued via delegation.")
