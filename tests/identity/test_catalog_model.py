"""The catalog, decided from records alone: templates of URLs, regions within regions, and what a project is cut to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilostack.identity.model.catalog import (
    Endpoint,
    Service,
    Viewer,
    around,
    catalog,
    filled,
    inside,
    is_template,
    names,
)
from kilostack.identity.model.endpoint_filter import members
from kilostack.identity.model.policy_documents import Association, document_of, endpoints_of


def _endpoint(number: int, **fields: object) -> Endpoint:
    values: dict[str, object] = {"id": f"e{number}", "service_id": "s", "interface": "public", "url": "/s"}
    return Endpoint(**(values | fields))  # type: ignore[arg-type]


_SERVICES = [Service(id="s", type="t", name="n"), Service(id="off", type="u", enabled=False)]


def test_what_is_disabled_or_needs_a_project_is_left_out() -> None:
    endpoints = [
        _endpoint(1, url="/s"),
        _endpoint(2, url="http://x/%(tenant_id)s/$(project_id)s"),
        _endpoint(3, enabled=False),
        _endpoint(4, interface="admin", region_id="r"),
        _endpoint(5, url="http://x/%(compute_host)s"),
    ]
    (shown,) = catalog(_SERVICES, endpoints, Viewer("https://c", "p1"))
    assert (shown["type"], shown["name"]) == ("t", "n")
    assert [(one["id"], one["url"]) for one in shown["endpoints"]] == [
        ("e1", "https://c/s"),
        ("e2", "http://x/p1/p1"),
        ("e4", "https://c/s"),
    ]
    (shown,) = catalog(_SERVICES, endpoints, Viewer("https://c"))
    assert [one["id"] for one in shown["endpoints"]] == ["e1", "e4"]


def test_made_up_attributes_are_shown_and_never_instead_of_real_ones() -> None:
    endpoint = _endpoint(1, extra={"name": "n", "id": "forged", "url": "http://forged"})
    (shown,) = catalog(_SERVICES, [endpoint], Viewer("https://c"))
    assert shown["endpoints"] == [
        {"name": "n", "id": "e1", "url": "https://c/s", "interface": "public", "region": None, "region_id": None}
    ]


def test_a_cut_catalog_has_the_chosen_endpoints_and_no_empty_service() -> None:
    services = [*_SERVICES, Service(id="other", type="o")]
    endpoints = [_endpoint(1), _endpoint(2), _endpoint(3, service_id="other")]
    shown = catalog(services, endpoints, Viewer("https://c", "p"), {"e2"})
    assert [(one["id"], [e["id"] for e in one["endpoints"]]) for one in shown] == [("s", ["e2"])]
    assert [one["id"] for one in catalog(services, [_endpoint(1)], Viewer("https://c", "p"))] == ["other", "s"]


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://x", "http://x"),
        ("http://x/%(project_id)s/$(user_id)s", "http://x/p/u"),
        ("http://x/50%%/%(project_id)s", "http://x/50%/p"),
        ("http://x/%(nothing)s", None),
        ("http://x/%(project_id)d", None),
        ("http://x/%(project_id)9999999s", None),
        ("http://x/%20", None),
        ("http://x/%", None),
        ("http://x/$(project_id)", None),
        ("http://x/%()s", None),
        ("http://x/$5", "http://x/$5"),
    ],
)
def test_urls_are_filled_in(url: str, wanted: str | None) -> None:
    assert filled(url, {"project_id": "p", "user_id": "u"}) == wanted
    assert is_template(url) is (wanted is not None)


@given(st.text(alphabet="%$()sabc_", max_size=30))
def test_no_url_breaks_the_catalog(url: str) -> None:
    found = filled(url, {"a": "1", "b": "%(a)s"})
    if "%" not in url and "$(" not in url:
        assert found == url


def test_a_catalog_is_personal_when_a_url_says_who() -> None:
    endpoints = [_endpoint(1), _endpoint(2, url="http://x/$(user_id)s")]
    assert names(endpoints, "user_id")
    assert not names(endpoints, "project_id", "tenant_id")


_NAMES = st.sampled_from("abcdef")
_PARENTS = st.dictionaries(_NAMES, st.none() | _NAMES)


@given(_PARENTS, _NAMES, _NAMES)
def test_around_and_inside_are_two_views_of_one_tree_whatever_loops_it_has(
    parent_of: dict[str, str | None], one: str, other: str
) -> None:
    path = list(around(one, parent_of))
    assert path[0] == one
    assert len(set(path)) == len(path)
    if one in parent_of:
        assert (other in path) is (one in inside(other, parent_of))


_REGION_IDS = st.none() | _NAMES
_ENDPOINTS = st.lists(
    st.builds(
        lambda number, service_id, region_id: _endpoint(number, service_id=service_id, region_id=region_id),
        st.integers(0, 50),
        st.sampled_from("st"),
        _REGION_IDS,
    ),
    unique_by=lambda endpoint: endpoint.id,
    max_size=6,
)
_ASSOCIATIONS = st.lists(
    st.one_of(
        st.builds(
            Association,
            endpoint_id=st.sampled_from(["e1", "e2"]),
            service_id=st.just(""),
            region_id=st.just(""),
            policy_id=st.sampled_from("pq"),
        ),
        st.builds(
            Association,
            endpoint_id=st.just(""),
            service_id=st.sampled_from("st"),
            region_id=st.just("") | _NAMES,
            policy_id=st.sampled_from("pq"),
        ),
    ),
    unique_by=lambda one: one.subject,
    max_size=6,
)


@given(_ENDPOINTS, _ASSOCIATIONS, _PARENTS)
def test_the_document_of_an_endpoint_is_one_that_lists_it(
    endpoints: list[Endpoint], associations: list[Association], parent_of: dict[str, str | None]
) -> None:
    known = {endpoint.region_id: None for endpoint in endpoints if endpoint.region_id} | parent_of
    for endpoint in endpoints:
        found = document_of(endpoint, associations, known)
        listing = {one.policy_id for one in associations if endpoint in endpoints_of([one], endpoints, known)}
        assert (found in listing) if found is not None else not listing


def test_the_nearest_document_wins() -> None:
    endpoint = _endpoint(1, region_id="inner")
    parent_of: dict[str, str | None] = {"inner": "outer", "outer": None}

    def association(policy_id: str, **subject: str) -> Association:
        return Association(**({"endpoint_id": "", "service_id": "", "region_id": ""} | subject), policy_id=policy_id)

    rising = [
        association("service", service_id="s"),
        association("outer", service_id="s", region_id="outer"),
        association("inner", service_id="s", region_id="inner"),
        association("own", endpoint_id="e1"),
    ]
    for at, wanted in enumerate(rising, 1):
        assert document_of(endpoint, rising[:at], parent_of) == wanted.policy_id
    assert document_of(endpoint, [association("x", service_id="t")], parent_of) is None


def test_a_group_has_the_endpoints_with_all_its_values() -> None:
    endpoints = [_endpoint(1), _endpoint(2, interface="admin"), _endpoint(3, region_id="r")]
    assert [one.id for one in members({"interface": "public", "region_id": None}, endpoints)] == ["e1"]
    assert [one.id for one in members({}, endpoints)] == ["e1", "e2", "e3"]
