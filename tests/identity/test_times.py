"""Times as clients write them."""

from __future__ import annotations

import pytest

from kilostack.identity.model.times import micros_of


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1970-01-01T00:00:00", 0),
        ("1970-01-01T00:00:01.000001Z", 1_000_001),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1970-01-02", 86_400_000_000),
    ],
)
def test_a_time_is_utc_unless_it_names_a_zone(text: str, micros: int) -> None:
    assert micros_of(text) == micros


@pytest.mark.parametrize("text", ["", "soon", "2030-13-01T00:00:00Z", "0001-01-01T00:00:00+24:01"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):
        micros_of(text)
