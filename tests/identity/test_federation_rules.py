"""The rules of mappings: what upstream documents of them, and what holds whatever they are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kilostack.identity.api.federation_schemas import MAPPING_RULES
from kilostack.identity.model.federation_claims import assertion_of
from kilostack.identity.model.federation_rules import (
    Mapped,
    MappedDomain,
    MappedGroup,
    MappingError,
    mapped,
)

_SAID = {"sub": ["alice"], "groups": ["staff", "night"], "mail": ["a@acme.test"], "empty": [""]}


def _one(local: Any, *remote: Any, version: str = "1.0", said: Any = None) -> Mapped:
    return mapped([{"local": local, "remote": list(remote) or [{"type": "sub"}]}], version, said or _SAID)


def test_values_take_their_places() -> None:
    user = {"id": "{1}", "name": "{0} of {1}", "email": "{2}", "domain": {"name": "d-{0}"}, "type": "ephemeral"}
    found = _one([{"user": user}], {"type": "sub"}, {"type": "empty"}, {"type": "mail"}).user
    assert (found.id, found.name, found.email) == ("", "alice of ", "a@acme.test")
    assert found.domain == MappedDomain(name="d-alice") and not found.is_local
    assert _one([{"user": {"name": "{{0}} {} {}"}}], {"type": "sub"}, {"type": "mail"}).user.name == (
        "{0} alice a@acme.test"
    )
    assert _one([{"user": {"name": "{0}"}}], {"type": "groups"}).user.name == "['staff', 'night']"


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        ({"type": "sub"}, True),
        ({"type": "empty"}, True),
        ({"type": "nothing"}, False),
        ({"type": "groups", "any_one_of": ["night", "day"]}, True),
        ({"type": "groups", "any_one_of": ["nigh"]}, False),
        ({"type": "groups", "any_one_of": ["nigh"], "regex": True}, True),
        ({"type": "groups", "any_one_of": []}, False),
        ({"type": "groups", "any_one_of": [5, None, ["night"]]}, False),
        ({"type": "groups", "not_any_of": ["night", "day"]}, False),
        ({"type": "groups", "not_any_of": ["day"]}, True),
        ({"type": "groups", "not_any_of": ["^s"], "regex": True}, False),
        ({"type": "groups", "not_any_of": []}, True),
        ({"type": "nothing", "not_any_of": ["x"]}, False),
        ({"type": "groups", "whitelist": []}, True),
        ({"type": "groups", "blacklist": ["staff", "night"]}, True),
    ],
)
def test_conditions(condition: Any, fits: bool) -> None:
    local = [{"user": {"name": "constant"}}]
    if fits:
        assert _one(local, condition).user.name == "constant"
    else:
        with pytest.raises(MappingError):
            _one(local, condition)


def test_conditions_that_only_compare_have_no_number() -> None:
    conditions = ({"type": "groups", "any_one_of": ["staff"]}, {"type": "sub"}, {"type": "mail", "not_any_of": ["x"]})
    assert _one([{"user": {"name": "{0}"}}], *conditions).user.name == "alice"
    with pytest.raises(MappingError):
        _one([{"user": {"name": "{1}"}}], *conditions)


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ({"whitelist": ["night", "day"]}, ["night"]),
        ({"blacklist": ["night", "day"]}, ["staff"]),
        ({"whitelist": ["^n"], "regex": True}, ["night"]),
        ({"blacklist": ["^n"], "regex": True}, ["staff"]),
        ({"whitelist": []}, []),
        ({"blacklist": []}, ["staff", "night"]),
        ({}, ["staff", "night"]),
    ],
)
def test_groups_of_a_value(condition: Any, kept: list[str]) -> None:
    domain = MappedDomain(id="d")
    local = [{"groups": "{0}", "domain": {"id": "d"}}]
    found = _one(local, {"type": "groups"} | condition)
    assert found.groups == tuple(MappedGroup(name, domain) for name in kept)
    assert _one([{"group_ids": "{0}"}], {"type": "groups"} | condition).group_ids == tuple(kept)


def test_groups_of_all_kinds_come_together() -> None:
    local = [
        {"group": {"id": "1"}},
        {"group": {"id": "1"}, "group_ids": "2"},
        {"group_ids": "['3', '{0}', 'x-{0}']"},
        {"group": {"name": "g", "domain": {"name": "{0}"}}},
        {"groups": "['g', 'h']", "domain": {"name": "alice"}},
    ]
    found = _one(local)
    assert set(found.group_ids) == {"1", "2", "3", "alice", "x-alice"}
    assert found.groups == tuple(MappedGroup(name, MappedDomain(name="alice")) for name in ("g", "h"))


def test_groups_that_another_cloud_names() -> None:
    said = {
        "sub": ["a"],
        "groups": ['JSON:{"name":"g","domain":{"name":"d"}}', 'JSON:{"name":"h","domain":{"id":"e"}}'],
    }
    found = _one([{"groups": "{0}"}], {"type": "groups"}, said=said)
    assert found.groups == (MappedGroup("g", MappedDomain(name="d")), MappedGroup("h", MappedDomain(id="e")))
    for wrong in ("plain", "JSON:", "JSON:[]", 'JSON:{"name":"g"}'):
        with pytest.raises(MappingError):
            _one([{"groups": "{0}"}], {"type": "groups"}, said={"groups": [wrong]})


def test_every_rule_that_fits_counts() -> None:
    rules = [
        {"local": [{"user": {"name": "first"}}], "remote": [{"type": "nothing"}]},
        {"local": [{"user": {}}, {"group": {"id": "1"}}], "remote": [{"type": "sub"}]},
        {
            "local": [{"user": {"name": "second"}}, {"projects": [{"name": "lost", "roles": []}]}],
            "remote": [{"type": "sub"}],
        },
        {"local": [{"user": {"name": "third"}}, {"projects": []}, {"group": {"id": "2"}}], "remote": [{"type": "sub"}]},
    ]
    found = mapped(rules, "1.0", _SAID)
    assert (found.user.name, found.group_ids, found.projects) == ("second", ("1", "2"), ())


@pytest.mark.parametrize(
    ("version", "domains"), [("1.0", (None, None, "own")), ("2.0", ("d", "d", "own")), ("3.0", ("d", "d", "own"))]
)
def test_the_domain_of_a_rule(version: str, domains: tuple[str | None, ...]) -> None:
    projects = [{"name": "p", "roles": []}, {"name": "q", "roles": [], "domain": {"id": "own"}}]
    found = _one([{"user": {"name": "u"}, "projects": projects, "domain": {"id": "d"}}], version=version)
    seen = (found.user.domain, *(project.domain for project in found.projects))
    assert tuple(None if domain is None else domain.id for domain in seen) == domains


def test_a_user_without_a_name_is_the_providers_affair() -> None:
    found = _one([{"group": {"id": "1"}}])
    assert (found.user.id, found.user.name) == (None, None)


@pytest.mark.parametrize("text", ["{0}", "{0} {1}"])
def test_nobody_is_called_nothing(text: str) -> None:
    # upstream calls all of them "[]": they would be one and the same user
    with pytest.raises(MappingError):
        _one([{"user": {"name": text}}], {"type": "groups", "whitelist": ["other"]}, {"type": "sub"})


_untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
_TEXTS = st.text(max_size=8) | st.sampled_from(
    ["{0}", "{1}", "{", "}", "{}", "{0.x}", "{0!r}", "{0:9}", "[", "['{0}']"]
)
_NAMES = st.sampled_from(["a", "b", "c"])
_DOMAINS = st.fixed_dictionaries({}, optional={"id": _TEXTS, "name": _TEXTS})
_LOCAL = st.fixed_dictionaries(
    {},
    optional={
        "user": st.fixed_dictionaries(
            {},
            optional={
                "id": _TEXTS,
                "name": _TEXTS,
                "email": _TEXTS,
                "domain": _DOMAINS,
                "type": st.sampled_from(["local", "ephemeral"]),
            },
        ),
        "group": st.fixed_dictionaries({"id": _TEXTS}) | st.fixed_dictionaries({"name": _TEXTS, "domain": _DOMAINS}),
        "groups": _TEXTS,
        "group_ids": _TEXTS,
        "domain": _DOMAINS,
        "projects": st.lists(
            st.fixed_dictionaries(
                {"name": _TEXTS, "roles": st.lists(st.fixed_dictionaries({"name": _TEXTS}), max_size=2)},
                optional={"domain": _DOMAINS},
            ),
            max_size=2,
        ),
        "projects_json": _TEXTS,
    },
)
_KINDS = st.sampled_from(["any_one_of", "not_any_of", "blacklist", "whitelist"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
_REMOTE = st.builds(
    lambda name, kind, wanted, regex: {"type": name} | ({kind: wanted, "regex": regex} if wanted is not None else {}),
    _NAMES,
    _KINDS,
    st.none() | st.lists(_TEXTS | _JSON, max_size=3),
    st.booleans(),
)
_RULES = st.lists(
    st.fixed_dictionaries({"local": st.lists(_LOCAL, max_size=3), "remote": st.lists(_REMOTE, max_size=3)}), max_size=3
)
_ASSERTIONS = st.dictionaries(_NAMES, st.lists(_TEXTS, max_size=3).map(tuple))
_VERSIONS = st.sampled_from(sorted(MAPPING_RULES))


def _outcome(rules: Any, version: str, said: Any) -> Mapped | str:
    try:
        return mapped(rules, version, said)
    except MappingError as error:
        return str(error)


@_untimed
@given(_RULES, _VERSIONS, _ASSERTIONS)
def test_any_rules_map_or_are_refused_and_always_the_same(rules: Any, version: str, said: Any) -> None:
    assert _outcome(rules, version, said) == _outcome(rules, version, said)


@_untimed
@given(_JSON, _VERSIONS, _ASSERTIONS)
def test_what_are_no_rules_at_all_gives_nobody_anything(rules: Any, version: str, said: Any) -> None:
    """They come from the database: what the schema refuses today may have been taken once."""
    assert isinstance(_outcome(rules, version, said), str)


def _kept(condition: dict[str, Any], said: tuple[str, ...]) -> tuple[str, ...]:
    return _one([{"group_ids": "{0}"}], {"type": "a"} | condition, said={"a": said}).group_ids


_SAYING = st.lists(st.text(max_size=3), min_size=1, max_size=5, unique=True).map(tuple)


@_untimed
@given(_SAYING, st.lists(st.text(max_size=3), max_size=4))
def test_a_whitelist_and_a_blacklist_divide_what_is_said(said: tuple[str, ...], wanted: list[str]) -> None:
    white, black = _kept({"whitelist": wanted}, said), _kept({"blacklist": wanted}, said)
    assert set(white) <= set(wanted) and not set(black) & set(wanted)
    assert sorted((*white, *black)) == sorted(said)
    assert tuple(value for value in said if value in white) == white


@_untimed
@given(_SAYING, st.lists(st.sampled_from(["^a", "b$", "[0-9]", "", "."]), max_size=3))
def test_regular_expressions_divide_it_too(said: tuple[str, ...], wanted: list[str]) -> None:
    white = _kept({"whitelist": wanted, "regex": True}, said)
    black = _kept({"blacklist": wanted, "regex": True}, said)
    assert sorted((*white, *black)) == sorted(said)


@_untimed
@given(_SAYING, st.lists(st.text(max_size=3), max_size=4), st.booleans())
def test_any_one_of_is_the_opposite_of_not_any_of(said: tuple[str, ...], wanted: list[str], regex: bool) -> None:
    local = [{"group_ids": "x"}]
    outcomes = [
        _outcome([{"local": local, "remote": [{"type": "a", kind: wanted, "regex": regex}]}], "1.0", {"a": said})
        for kind in ("any_one_of", "not_any_of")
    ]
    if any(isinstance(one, str) and "regular" in one for one in outcomes):
        return
    assert isinstance(outcomes[0], str) is not isinstance(outcomes[1], str)


@_untimed
@given(st.lists(st.text(max_size=12) | st.sampled_from(["['x', 'y']", "x', 'y", "{0}", "JSON:{}"]), min_size=1))
def test_no_spelling_makes_a_group_of_somebody_elses(names: list[str]) -> None:
    said = {"sub": ["u"], "groups": names}
    local = [{"groups": "{0}", "domain": {"id": "d"}}]
    assert {group.name for group in _one(local, {"type": "groups"}, said=said).groups} == set(names)


@_untimed
@given(_RULES, _VERSIONS, _ASSERTIONS)
def test_a_rule_that_does_not_fit_changes_nothing(rules: Any, version: str, said: Any) -> None:
    before = _outcome(rules, version, said)
    stranger = {"local": [{"user": {"name": "s"}, "group": {"id": "s"}}], "remote": [{"type": "never said"}]}
    assert _outcome([stranger, *rules], version, said) == before == _outcome([*rules, stranger], version, said)


def test_claims_have_all_their_names() -> None:
    claims = {"sub": "alice", "groups": ["a", 5, None], "ok": True, "none": None, "no": [], "realm": {"r": [1]}}
    found = assertion_of(claims)
    for name in ("sub", "OIDC-sub", "OIDC_CLAIM_sub", "HTTP_OIDC_SUB", "HTTP_OIDC_CLAIM_SUB", "REMOTE_USER"):
        assert found[name] == ("alice",)
    assert found["groups"] == ("a", "5") and found["OIDC-ok"] == ("1",) and found["realm"] == ('{"r":[1]}',)
    assert not {"none", "no", "OIDC-none"} & set(found)


def test_no_claim_takes_the_name_of_another() -> None:
    claims = {"OIDC-sub": "root", "HTTP_OIDC_SUB": "root", "REMOTE_USER": "root", "SUB": "root", "sub": "alice"}
    found = assertion_of(claims)
    for name in ("sub", "OIDC-sub", "HTTP_OIDC_SUB", "REMOTE_USER"):
        assert found[name] == ("alice",)


@_untimed
@given(st.dictionaries(st.text(max_size=6), _JSON))
def test_any_claims_can_be_said(claims: dict[str, Any]) -> None:
    assert all(isinstance(value, str) for values in assertion_of(claims).values() for value in values)
