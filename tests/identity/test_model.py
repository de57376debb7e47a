"""Implied roles and the catalog, decided from records alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kilostack.identity.model.catalog import Endpoint, Service, catalog
from kilostack.identity.model.roles import Assignment, Implication, closure, effective, implied_by

_ROLES = st.sampled_from("abcdef")
_PAIRS = st.lists(st.builds(lambda p, i: Implication(prior_id=p, implied_id=i), _ROLES, _ROLES), max_size=12)


@given(_PAIRS, _ROLES)
def test_effective_roles_are_the_closure_each_once_and_end(pairs: list[Implication], role: str) -> None:
    implied = implied_by(pairs)
    assignment = Assignment(user_id="u", scope_kind="system", scope_id="all", role_id=role)
    found = effective(assignment, implied)
    ids = [each.role_id for each in found]
    assert len(ids) == len(set(ids))
    assert set(ids) == closure([role], implied)
    for each in found:
        if each.prior_id is None:
            assert each.role_id == role
        else:
            assert each.role_id in implied[each.prior_id]


@given(_PAIRS, st.sets(_ROLES))
def test_the_closure_is_closed_and_smallest(pairs: list[Implication], roles: set[str]) -> None:
    found = closure(roles, implied_by(pairs))
    assert roles <= found
    for pair in pairs:
        assert pair.prior_id not in found or pair.implied_id in found
    for extra in found - roles:
        assert any(pair.implied_id == extra and pair.prior_id in found for pair in pairs)


def _endpoint(number: int, **fields: object) -> Endpoint:
    values: dict[str, object] = {"id": f"e{number}", "service_id": "s", "interface": "public", "url": "/s"}
    return Endpoint(**(values | fields))  # type: ignore[arg-type]


def test_what_is_disabled_or_needs_a_project_is_left_out() -> None:
    endpoints = [
        _endpoint(1, url="/s"),
        _endpoint(2, url="http://x/%(tenant_id)s/$(project_id)s"),
        _endpoint(3, enabled=False),
        _endpoint(4, interface="admin", region_id="r"),
    ]
    services = [Service(id="s", type="t", name="n"), Service(id="off", type="u", enabled=False)]
    (shown,) = catalog(services, endpoints, "https://c", "p1")
    assert (shown["type"], shown["name"]) == ("t", "n")
    assert [(one["id"], one["url"]) for one in shown["endpoints"]] == [
        ("e1", "https://c/s"),
        ("e2", "http://x/p1/p1"),
        ("e4", "https://c/s"),
    ]
    (shown,) = catalog(services, endpoints, "https://c", "")
    assert [one["id"] for one in shown["endpoints"]] == ["e1", "e4"]
