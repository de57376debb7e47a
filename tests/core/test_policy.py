"""The policy language, against what oslo.policy itself decides."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oslo_policy import _parser

from kilostack.core.context import Context, internal
from kilostack.core.errors import Forbidden
from kilostack.core.policy import Policy, PolicyError, Rule


def _context(**fields: object) -> Context:
    return Context(request_id="", **fields)  # type: ignore[arg-type]


def _policy(check: str, **others: str) -> Policy:
    rules = {"it": check, **others}
    return Policy([Rule(name, text, scope_types=()) for name, text in rules.items()])


@pytest.mark.parametrize(
    ("check", "allowed"),
    [
        ("", True),
        ("@", True),
        ("!", False),
        ("role:member", True),
        ("role:admin", False),
        ("not role:admin", True),
        ("role:member and project_id:%(project_id)s", True),
        ("role:member and project_id:%(other)s", False),
        ("user_id:%(target.user.id)s", True),
        ("user_id:%(target.nothing.id)s", False),
        ("domain_id:%(target.user.domain)s", False),
        ("role:admin or role:reader and role:member", True),
        ("(role:member or role:admin) and role:reader", True),
        ("(role:reader or role:admin) and role:admin", False),
        ("system_scope:all", False),
        ("rule:other", True),
        ("not rule:other", False),
        ("'shared':%(kind)s", True),
        ("role:%(wanted)s", True),
        ("role:MEMBER", True),
        ("None:%(nothing)s", True),
        ("not None:%(nothing)s", False),
        ("None:%(not_there)s", False),
        ("domain_id:None", True),
        ("project_id:None", False),
        ("True:%(flag)s", True),
        ("'True':%(flag)s", True),
        ("1:%(number)s", True),
        ('"a b":%(words)s', True),
        ("'a:b':%(colons)s", True),
        ("user_id:%(half)s%(number)s", True),
        ("token.project.domain.id:%(project_domain)s", True),
        ("token.domain.id:None", False),
        ("token.roles.name:reader", True),
        ("user.domain.id:default", True),
        ("tenant_id:%(tenant_id)s", True),
        ("is_admin:1", False),
        ("is_admin:False", True),
        ("is_admin_project:True", True),
        ("ROLE:member or role:member AND NOT role:admin", None),
        ("role:member AND NOT role:admin", True),
        ("domain_id:%(nothing)s", False),
    ],
)
def test_checks(check: str, allowed: bool | None) -> None:
    ctx = _context(
        user_id="u1", user_domain_id="default", project_id="p1", project_domain_id="d1", roles=("member", "reader")
    )
    target = {"project_id": "p1", "target": {"user": {"id": "u1"}}, "kind": "shared", "wanted": "reader"}
    target |= {"nothing": None, "flag": True, "number": 1, "words": "a b", "colons": "a:b", "half": "u"}
    target |= {"project_domain": "d1"}
    if allowed is None:
        with pytest.raises(PolicyError, match="ROLE"):
            _policy(check)
        return
    assert _policy(check, other="role:reader").allows(ctx, "it", target) is allowed


def test_an_empty_credential_never_matches_an_empty_target() -> None:
    """An unscoped caller is not in the domain "" of something that has none."""
    assert not _policy("domain_id:%(domain_id)s").allows(_context(), "it", {"domain_id": ""})


def test_what_is_unset_on_both_sides_is_not_the_same() -> None:
    """Unlike in the library: a caller without a domain is not in the domain of what has none."""
    target = {"domain_id": None}
    assert not _policy("domain_id:%(domain_id)s").allows(_context(project_id="p"), "it", target)
    assert _parser.parse_rule("domain_id:%(domain_id)s")(target, {"domain_id": None}, None)


@pytest.mark.parametrize("scope", ["system", "domain", "project"])
def test_a_token_of_another_scope_is_refused_whatever_the_check_says(scope: str) -> None:
    contexts = {
        "system": _context(system=True, roles=("admin",)),
        "domain": _context(domain_id="d", roles=("admin",)),
        "project": _context(project_id="p", roles=("admin",)),
    }
    policy = Policy([Rule("it", "@", scope_types=(scope,))], {"it": "role:admin"})
    assert [name for name, ctx in contexts.items() if policy.allows(ctx, "it")] == [scope]
    # as in the library, without any scope is as good as with a project
    assert Policy([Rule("it", "@", scope_types=(scope,))]).allows(_context(), "it") is (scope == "project")
    assert policy.allows(internal("req"), "it")


def test_system_scope_and_admin() -> None:
    admin = _context(system=True, roles=("admin",))
    assert _policy("role:admin and system_scope:all").allows(admin, "it")
    assert _policy("is_admin:True").allows(admin, "it")


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ({"a": "rule:b"}, "unknown rule 'b'"),
        ({"a": "rule:b", "b": "rule:a"}, "itself"),
        ({"a": "(role:x"}, r"'\)'"),
        ({"a": "role:x role:y"}, "unexpected"),
        ({"a": "role:x and"}, "missing"),
        ({"a": "nonsense"}, "KIND:VALUE"),
    ],
)
def test_a_rule_that_cannot_work_is_found_at_start(rules: dict[str, str], named: str) -> None:
    with pytest.raises(PolicyError, match=named):
        Policy([Rule(name, check) for name, check in rules.items()])


def test_an_operators_rule_replaces_the_default() -> None:
    policy = Policy([Rule("it", "role:admin")], {"it": "role:reader"})
    policy.check(_context(roles=("reader",)), "it")
    with pytest.raises(Forbidden, match="it"):
        policy.check(_context(roles=("admin",)), "it")


_ATOMS = st.sampled_from(
    [
        "role:a",
        "role:B",
        "@",
        "!",
        "project_id:%(project_id)s",
        "user_id:%(user_id)s",
        "user_id:%(target.user.id)s",
        "domain_id:None",
        "None:%(domain_id)s",
        "True:%(enabled)s",
        "'a':%(letter)s",
        "system_scope:all",
        "domain_id:%(not_there)s",
    ]
)
_CHECKS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        inner.map(lambda text: f"not ({text})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) and ({pair[1]})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) or ({pair[1]})"),
        st.tuples(_ATOMS, _ATOMS, _ATOMS).map(lambda three: f"{three[0]} or {three[1]} and {three[2]}"),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    check=_CHECKS,
    roles=st.sets(st.sampled_from(["a", "b"])),
    same=st.booleans(),
    scope=st.sampled_from([{"project_id": "p1"}, {"domain_id": "d1"}, {"system_scope": "all"}]),
    domain=st.sampled_from([None, "d1", "d2"]),
)
def test_decides_as_the_library_that_operators_know(
    check: str, roles: set[str], same: bool, scope: dict[str, str], domain: str | None
) -> None:
    target = {"project_id": "p1" if same else "p2", "user_id": "u1", "domain_id": domain, "enabled": same}
    target |= {"letter": "a" if same else "b", "target.user.id": "u1"}
    fields = {name: value for name, value in scope.items() if name != "system_scope"}
    ctx = _context(user_id="u1", system="system_scope" in scope, roles=tuple(sorted(roles)), **fields)
    credentials = {"project_id": None, "domain_id": None, "system_scope": None, "user_id": "u1"} | scope
    theirs = _parser.parse_rule(check)(target, credentials | {"roles": sorted(roles)}, None)
    assert _policy(check).allows(ctx, "it", target) is bool(theirs)
