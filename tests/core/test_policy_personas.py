"""The table of who may do what."""

from __future__ import annotations

import pytest

from kilostack.core.policy import Policy, Rule
from kilostack.core.policy_personas import PERSONAS, reach

_RULES = (
    Rule("base", "role:admin", scope_types=()),
    Rule("anybody", "@", scope_types=()),
    Rule("admins", "rule:base", scope_types=("system", "project")),
    Rule("of_domain", "role:manager and domain_id:%(target.user.domain_id)s", scope_types=("domain",)),
    Rule("of_project", "role:reader and project_id:%(project_id)s"),
    Rule("of_user", "user_id:%(target.user.id)s", scope_types=()),
    Rule("of_servant", "role:service"),
    Rule("managed", "role:manager and 'member':%(target.role.name)s and None:%(target.role.domain_id)s"),
)


@pytest.mark.parametrize(
    ("rule", "reaches"),
    [
        ("anybody", {persona.name: "all" for persona in PERSONAS}),
        ("admins", {"system admin": "all", "project admin": "all"}),
        ("of_domain", {"domain admin": "own", "domain manager": "own"}),
        ("of_project", dict.fromkeys(("project admin", "project manager", "project member", "project reader"), "own")),
        ("of_user", {persona.name: "self" for persona in PERSONAS}),
        ("of_servant", {"service": "all"}),
        ("managed", {"project admin": "own", "project manager": "own"}),
    ],
)
def test_how_far_each_may_go(rule: str, reaches: dict[str, str]) -> None:
    policy = Policy(_RULES)
    assert {one.name: found for one in PERSONAS if (found := reach(policy, rule, one))} == reaches
