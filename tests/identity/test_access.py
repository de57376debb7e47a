"""What operators' rules may ask of identity's targets."""

from __future__ import annotations

import pytest

from kilostack.core.context import Context
from kilostack.core.errors import Forbidden
from kilostack.identity.app.policies import Access

USER = {"user": {"id": "u1", "domain_id": "d1", "name": "bird"}}


@pytest.mark.parametrize(
    ("check", "allowed"),
    [
        ("role:auditor", True),
        ("role:reader", False),
        # as defaults say it, as older files do, and as the path does
        ("user_id:%(target.user.id)s", True),
        ("user_id:%(user.id)s", True),
        ("user_id:%(user_id)s", True),
        ("token.domain.id:%(target.user.domain_id)s", True),
        ("domain_id:%(target.user.domain_id)s and 'bird':%(target.user.name)s", True),
        ("domain_id:%(target.project.domain_id)s", False),
        ("rule:admin_required", False),
        ("rule:admin_or_owner", True),
    ],
)
def test_an_operators_rule(check: str, allowed: bool) -> None:
    access = Access({"identity:get_user": check})
    ctx = Context(request_id="", user_id="u1", domain_id="d1", roles=("auditor",))
    assert access.allows(ctx, "get_user", USER) is allowed


def test_the_scope_of_an_operation_is_not_the_operators() -> None:
    access = Access({"identity:create_domain": "@"})
    access.check(Context(request_id="", project_id="p"), "create_domain", {})
    with pytest.raises(Forbidden, match="identity:create_domain"):
        access.check(Context(request_id="", domain_id="d", roles=("admin",)), "create_domain", {})
