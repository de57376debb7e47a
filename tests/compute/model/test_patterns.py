"""Users' regular expressions find what Python's would, in linear time, and refuse what they do not know."""

from __future__ import annotations

import re
import warnings

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kilostack.compute.model.patterns import BadPattern, Pattern

_PARTS = ["a", "b", "A", ".", "1", "-", r"\.", r"\d", r"\w", "[ab]", "[^a]", "[a-c1]", "^", "$", "|", "(", ")", "(?:"]
_REPEATS = ["", "", "", "*", "+", "?", "{2}", "{1,}", "{0,2}"]
_patterns = st.lists(st.tuples(st.sampled_from(_PARTS), st.sampled_from(_REPEATS)), max_size=8).map(
    lambda parts: "".join(part + repeat for part, repeat in parts)
)


@given(_patterns, st.text(alphabet="abAB1-. c", max_size=8))
def test_finds_what_python_finds(pattern: str, subject: str) -> None:
    try:
        ours = Pattern(pattern)
    except BadPattern:
        assume(False)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert ours.found_in(subject) is bool(re.search(pattern, subject, re.IGNORECASE | re.DOTALL))


@pytest.mark.parametrize("pattern", ["(a+)+$", "^(a|aa)*$", ".*.*.*.*.*b", "(a*)*b", "a{0,200}a{0,200}b"])
def test_is_linear_where_backtracking_explodes(pattern: str) -> None:
    assert Pattern(pattern).found_in("a" * 255 + "c") is False


@pytest.mark.parametrize(
    "pattern",
    ["(", ")", "[a", "*a", "a**", "a{2,1}", "a{999}", "a{", "\\", r"\1", r"\b", "(?=a)", "[z-a]", "x" * 256, "^*"],
)
def test_refuses_what_it_does_not_take(pattern: str) -> None:
    with pytest.raises(BadPattern):
        Pattern(pattern)


@pytest.mark.parametrize("pattern", ["(((a{200}){200}){200})", "(" * 50 + ")" * 50])
def test_refuses_what_would_grow_too_large(pattern: str) -> None:
    with pytest.raises(BadPattern):
        Pattern(pattern)


def test_plain_text_is_found_in_either_case() -> None:
    assert Pattern("Web").found_in("my-WEB-1")
    assert not Pattern("web2").found_in("my-web-1")
