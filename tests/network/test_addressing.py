"""Subnets and their addresses: properties of the pure parts."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilostack.core.errors import BadRequest, Conflict, Error
from kilostack.network.model import addressing, values

_V4 = st.builds(
    lambda number, length: str(ip_network((number, length), strict=False)),
    st.integers(1 << 24, (1 << 31) - 1),
    st.integers(8, 32),
)
_V6 = st.builds(
    lambda number, length: str(ip_network((number, length), strict=False)),
    st.integers(1 << 120, (1 << 124) - 1),
    st.integers(48, 128),
)
_CIDRS = st.one_of(_V4, _V6)


@given(_CIDRS)
def test_default_pools_are_all_usable_addresses_but_the_gateway(cidr: str) -> None:
    gateway = addressing.default_gateway(cidr)
    pools = addressing.default_pools(cidr, gateway)
    first, last = addressing.usable(cidr)
    inside = gateway is not None and first <= int(ip_address(gateway)) <= last
    assert addressing.capacity(pools) == last - first + 1 - inside
    assert addressing.check_pools(pools, cidr, gateway) == pools
    for start, end in pools:
        assert addressing.is_usable(cidr, start)
        assert addressing.is_usable(cidr, end)


@given(_CIDRS, st.integers(0, 300), st.integers(0, 300))
def test_the_search_goes_over_every_address_once(cidr: str, cursor: int, hole: int) -> None:
    first, last = addressing.usable(cidr)
    gateway = addressing.shown(min(first + hole, last), ip_network(cidr).version)
    pools = addressing.default_pools(cidr, gateway)
    ranges = addressing.searched(pools, f"{first + cursor:032x}")
    assert sum(high - low + 1 for low, high in ranges) == addressing.capacity(pools)
    assert sorted(ranges) == sorted(set(ranges))


@given(st.integers(0, 50), st.sets(st.integers(0, 60)))
def test_the_first_gap_is_free_and_nothing_before_it_is(low: int, taken: set[int]) -> None:
    found = addressing.first_gap(low, sorted(value for value in taken if value >= low))
    assert found not in taken
    assert all(value in taken for value in range(low, found))


@given(st.lists(st.integers(0, (1 << 32) - 1), min_size=2, max_size=2))
def test_numbers_sort_as_addresses_do(pair: list[int]) -> None:
    one, other = (str(ip_address(value)) for value in pair)
    assert (addressing.number(one) < addressing.number(other)) == (pair[0] < pair[1])
    assert addressing.shown(int(addressing.number(one), 16), 4) == one


@given(_CIDRS, _CIDRS)
def test_overlap_is_symmetric(one: str, other: str) -> None:
    assert addressing.overlap(one, other) == addressing.overlap(other, one)
    assert addressing.overlap(one, one)


@pytest.mark.parametrize(
    ("cidr", "version", "words"),
    [
        ("10.0.0.0/24", 6, "does not match"),
        ("0.0.0.0/0", 4, "0 is not allowed"),
        ("::/64", 6, "is not supported"),
        ("10.0.0.0/31", 4, "incompatible with DHCP"),
        ("fd00::/127", 6, "incompatible with DHCP"),
        ("224.0.0.0/8", 4, "Multicast"),
        ("127.0.0.0/8", 4, "Loopback"),
        ("0.0.0.0/8", 4, "First IP"),
    ],
)
def test_absurd_subnets(cidr: str, version: int, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        addressing.check_cidr(cidr, version, enable_dhcp=True)


def test_pools_are_put_in_order() -> None:
    pools = (("10.0.0.50", "10.0.0.60"), ("10.0.0.5", "10.0.0.9"))
    assert addressing.check_pools(pools, "10.0.0.0/24", None) == pools[::-1]
    with pytest.raises(Conflict):
        addressing.check_pools((("10.0.0.5", "10.0.0.9"),), "10.0.0.0/24", "10.0.0.7")


@given(st.one_of(st.text(max_size=30), st.integers(), st.none(), st.lists(st.text(max_size=3)), st.booleans()))
def test_readers_answer_or_say_what_is_wrong(value: object) -> None:
    readers = (
        values.boolean,
        values.uuid,
        values.address,
        values.cidr,
        values.prefix,
        values.address_or_cidr,
        values.mac,
        values.fixed_ips,
        values.address_pools,
        values.routes,
        values.nameservers,
        values.moment,
        values.integer(0, 9),
        values.string(),
        values.unique_uuids,
    )
    for reader in readers:
        try:
            reader(value)
        except (values.Wrong, Error) as error:
            assert str(error)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("FA-16-3E-00-00-01", "fa:16:3e:00:00:01"),
        ("fa16.3e00.0001", "fa:16:3e:00:00:01"),
        ("fa:16:3e:0A:00:01", "fa:16:3e:0a:00:01"),
    ],
)
def test_macs_have_one_form(text: str, canonical: str) -> None:
    assert values.mac(text) == canonical


@pytest.mark.parametrize("text", ["01:00:5e:00:00:01", "00:00:00:00:00:00", "fa:16:3e:00:00", "fa:16-3e:00:00:01"])
def test_what_is_no_mac_of_a_card(text: str) -> None:
    with pytest.raises(values.Wrong):
        values.mac(text)


def test_addresses_have_one_form() -> None:
    assert values.address("FD00:0:0::01") == "fd00::1"
    assert values.prefix("10.0.0.7") == "10.0.0.7/32"
    for wrong in ("10.0.0.01", "fe80::1%eth0", "10.0.0.1/24", " 10.0.0.1"):
        with pytest.raises(values.Wrong):
            values.address(wrong)


def test_times_are_shown_in_whole_seconds() -> None:
    assert values.time_text(1_700_000_000_999_999) == "2023-11-14T22:13:20Z"
    assert values.moment("2023-11-14T22:13:20Z") == 1_700_000_000_000_000
