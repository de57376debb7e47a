"""The choice: which hosts a request leaves, in what order, and what is said of the others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kilostack.compute.scheduler.choose import SHOWN, choose
from kilostack.compute.scheduler.columns import Columns
from kilostack.compute.scheduler.request import HostState, Request
from kilostack.wire.placement_calls import Inventory, Provider


def state(name: str, *, zone: str = "nova", enabled: bool = True, connected: bool = True) -> HostState:
    return HostState(name=name, provider_id=f"{name}-id", zone=zone, enabled=enabled, connected=connected)


def provider(name: str, *, memory: int = 1024, vcpus: int = 8, used: int = 0, generation: int = 1) -> Provider:
    inventories = {"VCPU": Inventory(total=vcpus), "MEMORY_MB": Inventory(total=memory, used=used)}
    return Provider(id=f"{name}-id", name=name, inventories=inventories, generation=generation)


def asking(*, memory: int = 256, zone: str | None = None, host: str | None = None) -> Request:
    resources = {"VCPU": 1, "MEMORY_MB": memory}
    return Request(consumer="s", project_id="p", user_id="u", resources=resources, zone=zone, host=host)


def columns_of(*hosts: tuple[HostState, Provider]) -> Columns:
    columns = Columns()
    columns.set_hosts([host for host, _ in hosts])
    columns.set_providers([provider for _, provider in hosts])
    return columns


def test_each_rule_says_how_many_it_leaves_and_why_a_host_went() -> None:
    columns = columns_of(
        (state("off", enabled=False), provider("off")),
        (state("gone", connected=False), provider("gone")),
        (state("far", zone="z2"), provider("far")),
        (state("full"), provider("full", used=924)),
        (state("good"), provider("good")),
    )
    columns.set_hosts([state("new")])
    ranking = choose(columns, asking(zone="nova"), 1)
    assert [name for name, _ in ranking.candidates] == ["good"]
    rules = {rule["rule"]: rule for rule in ranking.record["rules"]}
    assert [(name, rule["left"]) for name, rule in rules.items()] == [
        ("enabled", 5),
        ("connected", 4),
        ("zone", 3),
        ("inventory", 2),
        ("vcpu", 2),
        ("memory", 1),
    ]
    assert rules["memory"]["removed"] == {"full": "needs 256 MiB memory, has 100 free"}
    assert rules["zone"]["removed"] == {"far": "is in zone z2, not in nova"}
    assert ranking.record["asked"] == {"MEMORY_MB": 256, "VCPU": 1, "zone": "nova"}


def test_nothing_left_is_explained_without_naming_a_host() -> None:
    columns = columns_of((state("h1"), provider("h1")), (state("h2", enabled=False), provider("h2")))
    ranking = choose(columns, asking(memory=4096), 1)
    assert ranking.summary == "Of 2 hosts: 1 disabled, 1 without 4096 MiB memory free."
    assert not ranking.only_connection_missing
    assert choose(Columns(), asking(), 1).summary == "There are no hosts."
    waiting = columns_of((state("h1", connected=False), provider("h1")))
    assert choose(waiting, asking(), 1).only_connection_missing


def test_a_wanted_host_is_the_only_candidate() -> None:
    columns = columns_of((state("h1"), provider("h1")), (state("h2"), provider("h2")))
    assert [name for name, _ in choose(columns, asking(host="h2"), 1).candidates] == ["h2"]
    assert choose(columns, asking(host="h3"), 1).candidates == ()


def test_the_emptier_host_is_first_and_equal_ones_are_spread_by_the_seed() -> None:
    columns = columns_of(
        (state("a"), provider("a", used=900)), (state("b"), provider("b")), (state("c"), provider("c"))
    )
    firsts = {choose(columns, asking(memory=100), seed).candidates[0][0] for seed in range(20)}
    assert firsts == {"b", "c"}
    assert all(choose(columns, asking(memory=100), seed).candidates[-1][0] == "a" for seed in range(20))
    assert choose(columns, asking(), 7) == choose(columns, asking(), 7)


def test_claims_under_way_count_at_once_and_can_be_left_out() -> None:
    columns = columns_of((state("h1"), provider("h1", memory=300)))
    columns.claim_begins("h1-id", {"MEMORY_MB": 200, "VGPU": 1})
    assert choose(columns, asking(), 1).candidates == ()
    assert choose(columns, asking(), 1, pending=False).candidates == (("h1", "h1-id"),)
    columns.claim_ends("h1-id", {"MEMORY_MB": 200, "VGPU": 1})
    assert choose(columns, asking(), 1).candidates == (("h1", "h1-id"),)


def test_what_is_recorded_is_bounded() -> None:
    hosts = [(state(f"h{at}"), provider(f"h{at}", memory=10 if at % 2 else 1024 + at)) for at in range(100)]
    ranking = choose(columns_of(*hosts), asking(), 1)
    memory = ranking.record["rules"][-1]
    assert (len(memory["removed"]), memory["more"], memory["left"]) == (SHOWN, 50 - SHOWN, 50)
    assert len(ranking.candidates) == len(ranking.record["weights"]) == SHOWN


def test_old_news_of_a_provider_is_passed_over() -> None:
    columns = columns_of((state("h1"), provider("h1", memory=1000, generation=5)))
    columns.set_providers([provider("h1", memory=10, generation=4)])
    assert int(columns.free("MEMORY_MB")[0]) == 1000
    columns.set_providers([provider("h1", memory=10, generation=1)], whole=True)
    assert int(columns.free("MEMORY_MB")[0]) == 10


_NAMES = st.sampled_from([f"h{at}" for at in range(12)])
_NEWS = st.one_of(
    st.tuples(st.just("host"), _NAMES, st.booleans(), st.booleans()),
    st.tuples(st.just("no host"), _NAMES),
    st.tuples(st.just("provider"), _NAMES, st.integers(0, 600)),
    st.tuples(st.just("no provider"), _NAMES),
)


@given(st.lists(_NEWS, max_size=40))
def test_columns_follow_any_order_of_news(news: list[tuple[object, ...]]) -> None:
    columns, hosts, memory = Columns(), dict[str, HostState](), dict[str, int]()
    for at, item in enumerate(news):
        name = str(item[1])
        if item[0] == "host":
            hosts[name] = state(name, enabled=bool(item[2]), connected=bool(item[3]))
            columns.set_hosts([hosts[name]])
        elif item[0] == "no host":
            hosts.pop(name, None)
            columns.remove_hosts([name])
        elif item[0] == "provider":
            memory[name] = int(str(item[2]))
            columns.set_providers([provider(name, memory=memory[name], generation=at)])
        else:
            memory.pop(name, None)
            columns.remove_providers([f"{name}-id"])
    expected = {name for name, host in hosts.items() if host.enabled and host.connected and memory.get(name, -1) >= 256}
    assert {name for name, _ in choose(columns, asking(), 3).candidates} == expected
