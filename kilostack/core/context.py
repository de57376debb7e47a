"""Who asks, for which project, under which request id."""

from __future__ import annotations

import msgspec

from kilostack.core.access_rules import AccessRule


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """The verified caller of one request; made from a token, carried with every call and saga.

    Exactly one of `project_id`, `domain_id` and `system` is set in a scoped context; none in an unscoped one.
    """

    request_id: str
    global_request_id: str | None = None
    user_id: str = ""
    user_name: str = ""
    user_domain_id: str = ""
    user_domain_name: str = ""
    project_id: str = ""
    project_name: str = ""
    project_domain_id: str = ""
    project_domain_name: str = ""
    domain_id: str = ""
    domain_name: str = ""
    system: bool = False
    roles: tuple[str, ...] = ()
    #: audit id of the token; not the token
    audit_id: str = ""
    #: what the credential behind the token may be used for; looked at, and taken away, where the request comes in
    access_rules: tuple[AccessRule, ...] | None = None
    #: work of the cloud for itself: no scope binds it
    is_internal: bool = False

    @property
    def is_admin(self) -> bool:
        return "admin" in self.roles

    @property
    def scope(self) -> str:
        """What policy calls the scope: a caller without any counts as one of a project, as upstream."""
        return "system" if self.system else "domain" if self.domain_id else "project"


def internal(request_id: str) -> Context:
    """The context of work that the cloud does for itself."""
    return Context(
        request_id=request_id,
        user_id="kilostack",
        user_name="kilostack",
        system=True,
        roles=("admin", "service"),
        is_internal=True,
    )
