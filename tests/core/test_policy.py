"""The policy language, against what oslo.policy itself decides."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oslo_policy import _parser

from kilostack.core.context import Context
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
    ],
)
def test_checks(check: str, allowed: bool) -> None:
    ctx = _context(user_id="u1", project_id="p1", roles=("member", "reader"))
    target = {"project_id": "p1", "target": {"user": {"id": "u1"}}, "kind": "shared", "wanted": "reader"}
    assert _policy(check, other="role:reader").allows(ctx, "it", target) is allowed


def test_an_empty_credential_never_matches_an_empty_target() -> None:
    """An unscoped caller is not in the domain "" of something that has none."""
    assert not _policy("domain_id:%(domain_id)s").allows(_context(), "it", {"domain_id": ""})


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


_ATOMS = st.sampled_from(["role:a", "role:b", "@", "!", "project_id:%(project_id)s", "user_id:%(user_id)s"])
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
@given(check=_CHECKS, roles=st.sets(st.sampled_from(["a", "b"])), same=st.booleans())
def test_decides_as_the_library_that_operators_know(check: str, roles: set[str], same: bool) -> None:
    target = {"project_id": "p1" if same else "p2", "user_id": "u1"}
    ctx = _context(project_id="p1", user_id="u1", roles=tuple(sorted(roles)))
    credentials = {"project_id": "p1", "user_id": "u1", "roles": sorted(roles)}
    theirs = _parser.parse_rule(check)(target, credentials, None)
    assert _policy(check).allows(ctx, "it", target) is bool(theirs)
