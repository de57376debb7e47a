"""Which requests access rules let through."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilostack.core.access_rules import AccessRule, permits


@pytest.mark.parametrize(
    ("pattern", "path", "is_let_through"),
    [
        ("/v2.1/servers", "/v2.1/servers", True),
        ("/v2.1/servers", "/v2x1/servers", False),
        ("/v2.1/servers", "/v2.1/servers/", False),
        ("/v2.1/servers", "/v2.1/servers/detail", False),
        ("/v2.1/servers/*", "/v2.1/servers/one", True),
        ("/v2.1/servers/*", "/v2.1/servers/", False),
        ("/v2.1/servers/*", "/v2.1/servers/one/action", False),
        ("/v2.1/servers/*/action", "/v2.1/servers/one/action", True),
        ("/v2.1/servers/{server_id}", "/v2.1/servers/one", True),
        ("/v2.1/servers/{server_id}/os-*", "/v2.1/servers/one/os-interface", True),
        ("/v2.1/servers/{server_id}", "/v2.1/servers/one/two", False),
        ("/v2.1/**", "/v2.1/servers/one/two", True),
        ("/v2.1/**", "/v2.1/", True),
        ("/v2.1/**", "/v2.1", False),
        ("/**/action", "/v2.1/servers/one/action", True),
        ("/**/action", "/v2.1/servers/one/actions", False),
        ("/***", "/a/b", True),
        ("/{open", "/{open", True),
        ("", "", True),
        ("", "/", False),
    ],
)
def test_patterns(pattern: str, path: str, is_let_through: bool) -> None:
    rules = [AccessRule("compute", "GET", pattern)]
    assert permits(rules, "compute", "GET", path) is is_let_through
    assert not permits(rules, "compute", "POST", path)
    assert not permits(rules, "network", "GET", path)


def test_no_rules_let_nothing_through() -> None:
    assert not permits([], "compute", "GET", "/")


_PIECES = st.lists(st.sampled_from(["/", "a", "b", "*", "**", "{x}", "."]), max_size=8).map("".join)


@given(_PIECES, st.text("/ab.", max_size=10))
def test_as_a_regular_expression_would(pattern: str, path: str) -> None:
    parts = re.findall(r"\{[^}]*\}|\*{2,}|\*|.", pattern)
    words = {"*": "[^/]+", "{x}": "[^/]+"}
    expression = "".join(".*" if part.startswith("**") else words.get(part, re.escape(part)) for part in parts)
    wanted = re.fullmatch(expression, path) is not None
    assert permits([AccessRule("s", "GET", pattern)], "s", "GET", path) is wanted
