"""Entries come and go in a clouds.yaml; what others wrote stays."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kilostack.cli.clouds_yaml import Broken, edit, entries, is_empty

OURS = {"auth": {"auth_url": "http://127.0.0.1:9640/identity/v3", "password": "x: #y"}, "identity_api_version": 3}

SEVERAL = """\
# my clouds
clouds:
    work:   # the good one
        auth:
            auth_url: https://cloud.example.org/v3   # do not touch
            password: "tip: top"

    # about home
    home:
        region_name: here
cache:
    expiration: 1  # short
"""


def test_an_empty_file_gets_the_entry() -> None:
    assert yaml.safe_load(edit("", {"ours": OURS})) == {"clouds": {"ours": OURS}}


@pytest.mark.parametrize(
    "text",
    [
        SEVERAL,
        SEVERAL.rstrip("\n"),
        SEVERAL.replace("\n", "\r\n"),
        "---\n" + SEVERAL,
        "clouds:\n  a: {region_name: x}\n",
        "clouds:\n  a:\n    region_name: x\n# the end",
    ],
)
def test_others_stay_to_the_letter(text: str) -> None:
    added = edit(text, {"ours": OURS})
    assert entries(added)["ours"] == OURS
    assert {name: entry for name, entry in entries(added).items() if name != "ours"} == entries(text)
    for line in text.splitlines():
        assert line in added.splitlines()
    removed = edit(added, {"ours": None})
    assert removed.replace("\r\n", "\n").rstrip("\n") == text.replace("\r\n", "\n").rstrip("\n")


def test_an_entry_is_replaced_where_it_stands() -> None:
    old = edit(SEVERAL, {"work": OURS})
    assert old.index("work:") < old.index("# about home") < old.index("home:")
    assert "cloud.example.org" not in old
    assert entries(old)["work"] == OURS


@pytest.mark.parametrize(
    "text",
    [
        "clouds: {}\n",
        "clouds:\n",
        "clouds: null\n",
        "cache: {}\n",
        "{clouds: {a: {region_name: x}}, cache: {expiration: 1}}\n",
        "clouds: {a: {region_name: x}}\n",
        '"clouds":\n  a: {region_name: x}\n',
        "clouds:\n  a: &a {region_name: x}\n  b: *a\n",
        "clouds:\n  'ours': {region_name: old}\n  b: {}\n",
    ],
)
def test_other_ways_to_write_it(text: str) -> None:
    edited = edit(text, {"ours": OURS})
    expected = yaml.safe_load(text)
    expected["clouds"] = {**(expected.get("clouds") or {}), "ours": OURS}
    assert yaml.safe_load(edited) == expected


def test_nothing_to_do_returns_the_same_text() -> None:
    text = edit(SEVERAL, {"ours": OURS})
    assert edit(text, {"ours": OURS, "never": None}) is text


@pytest.mark.parametrize("text", ["clouds: [", "\tclouds:", "- a\n- b\n", "clouds: 3\n", "a: 1\n---\nb: 2\n", "text"])
def test_a_broken_file_is_refused(text: str) -> None:
    with pytest.raises(Broken):
        edit(text, {"ours": OURS})


def test_a_file_is_empty_once_only_we_were_in_it() -> None:
    assert is_empty(edit(edit("", {"ours": OURS}), {"ours": None}))
    assert not is_empty("# a word\nclouds: {}\n")
    assert not is_empty(SEVERAL)


NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@given(
    others=st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=3), max_size=4),
    rest=st.dictionaries(NAMES.filter(lambda name: name != "clouds"), VALUES, max_size=3),
    name=NAMES,
    indent=st.integers(min_value=1, max_value=6),
    flow=st.sampled_from([None, False, True]),
)
def test_any_file_keeps_what_it_says(
    others: dict[str, Any], rest: dict[str, Any], name: str, indent: int, flow: bool | None
) -> None:
    text = yaml.safe_dump({**rest, "clouds": others}, indent=indent, default_flow_style=flow, allow_unicode=True)
    before = yaml.safe_load(text)
    added = edit(text, {name: OURS})
    assert yaml.safe_load(added) == {**before, "clouds": {**before["clouds"], name: OURS}}
    without = {other: entry for other, entry in before["clouds"].items() if other != name}
    assert {**yaml.safe_load(edit(added, {name: None})), "clouds": without} == {**before, "clouds": without}
    assert entries(edit(added, {name: None})) == without
