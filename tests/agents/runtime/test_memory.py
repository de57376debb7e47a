"""What an agent remembers: its journal, its streams, the reports that have not arrived."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kilostack.agents.runtime.journal import FileStore, Journal
from kilostack.agents.runtime.outbox import Outbox
from kilostack.agents.runtime.streams import GUEST_TYPES, NETWORK_TYPES, Attached, Stream
from kilostack.core.world import RealWorld
from kilostack.wire import agent
from kilostack.wire.compute import GuestReport
from tests.gateway.stand_ins import guest, port
from tests.waiting import until


class Listener:
    """A part that writes down what it is told."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.heard: list[tuple[dict[str, Any], bool]] = []
        self.gone: list[str] = []

    def changed(self, desired: Mapping[str, Any], complete: bool) -> None:
        self.heard.append((dict(desired), complete))

    async def run(self, report: Callable[[Any], None]) -> None:
        await asyncio.Event().wait()

    def reports(self) -> Sequence[Any]:
        return ()


def _raw(thing: msgspec.Struct) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(thing))


def _state(changed: dict[str, Any], *, removed: tuple[str, ...] = (), whole: bool = False) -> agent.State:
    texts = {key: thing if isinstance(thing, msgspec.Raw) else _raw(thing) for key, thing in changed.items()}
    revisions = {
        key: getattr(thing, "generation", 0) or getattr(thing, "revision", 7) for key, thing in changed.items()
    }
    return agent.State(service="compute", changed=texts, revisions=revisions, removed=removed, whole=whole)


def _stream(service: str = "compute") -> tuple[Stream, Listener]:
    part = Listener(service)
    types = GUEST_TYPES if service == "compute" else NETWORK_TYPES
    return Stream(Attached(part=part, types=types, by_id=service == "compute", is_gone=part.gone.append)), part


def test_a_part_gets_the_whole_mapping_in_its_own_keys() -> None:
    stream, part = _stream()
    stream.apply(_state({"guest/a": guest("a", 1), "guest/b": guest("b", 1)}, whole=True))
    stream.apply(_state({"guest/b": guest("b", 2)}, removed=("guest/a",)))
    assert part.heard == [({"a": guest("a", 1), "b": guest("b", 1)}, True), ({"b": guest("b", 2)}, True)]
    network, listener = _stream("network")
    network.apply(_state({"port/p": port("p", 3)}))
    assert listener.heard == [({"port/p": port("p", 3)}, True)]


def test_a_whole_state_leaves_nothing_else() -> None:
    stream, part = _stream()
    stream.apply(_state({"guest/a": guest("a", 1)}))
    stream.apply(_state({"guest/b": guest("b", 1)}, whole=True))
    assert part.heard[-1] == ({"b": guest("b", 1)}, True)
    assert stream.known == {"guest/b": 1}


def test_what_a_journal_says_is_not_current_yet() -> None:
    stream, part = _stream()
    stream.load({"guest/a": (1, bytes(_raw(guest("a", 1))))})
    stream.hand_over()
    assert part.heard == [({"a": guest("a", 1)}, False)]


def test_the_service_is_told_of_objects_that_never_were_here() -> None:
    stream, part = _stream()
    stream.apply(_state({"guest/a": guest("a", 1)}, removed=("guest/x",)))
    stream.apply(_state({}, removed=("guest/a",)))
    assert part.gone == ["x"]


def test_kinds_of_a_newer_release_are_kept_and_passed_over() -> None:
    stream, part = _stream()
    stream.apply(_state({"gpu/1": msgspec.Raw(b"{}"), "guest/a": guest("a", 1)}))
    assert part.heard == [({"a": guest("a", 1)}, True)]
    assert set(stream.known) == {"gpu/1", "guest/a"}


def test_an_object_that_is_not_understood_is_never_taken_for_unwanted() -> None:
    stream, part = _stream()
    stream.apply(_state({"guest/a": guest("a", 1)}))
    stream.apply(_state({"guest/a": msgspec.Raw(b'{"shape":"new"}')}))
    assert part.heard[-1] == ({"a": guest("a", 1)}, True), "the last one that was understood"
    stream.apply(_state({"guest/b": msgspec.Raw(b'{"shape":"new"}')}))
    assert part.heard[-1] == ({"a": guest("a", 1)}, False), "nothing may be removed now"


async def test_a_journal_is_read_again_by_the_next_process(world: RealWorld, tmp_path: Path) -> None:
    store = FileStore(tmp_path / "deep" / "journal.json")
    objects = {"guest/a": (4, b'{"any": [1, 2.50]}')}
    first = Journal(world, store, "h1")
    assert await first.read() == {}
    writing = world.spawn(first.run(), "journal")
    first.note("compute", objects)

    async def is_written() -> bool:
        return store.read() is not None

    await until(is_written)
    writing.cancel()
    assert await Journal(world, store, "h1").read() == {"compute": objects}
    assert await Journal(world, store, "h2").read() == {}, "another host's"


@pytest.mark.parametrize("content", [b"", b"{", b'{"format":99,"host":"h1","streams":{}}', b"\x00" * 100])
async def test_a_journal_that_is_broken_is_as_good_as_none(world: RealWorld, tmp_path: Path, content: bytes) -> None:
    store = FileStore(tmp_path / "journal.json")
    store.write(content)
    assert await Journal(world, store, "h1").read() == {}


def test_a_write_that_fails_leaves_the_old_journal(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "journal.json")
    store.write(b"old")
    (tmp_path / "journal.new").mkdir()
    with pytest.raises(OSError):
        store.write(b"new")
    assert store.read() == b"old"


def _report(name: str, generation: int) -> GuestReport:
    return GuestReport(id=name, generation=generation, state="running")


def _named(batch: agent.Reports) -> list[tuple[str, int]]:
    decoded = [msgspec.json.decode(raw, type=GuestReport) for raw in batch.reports]
    return [(report.id, report.generation) for report in decoded]


async def test_only_the_newest_report_of_a_thing_is_sent() -> None:
    outbox = Outbox("compute")
    for report in (_report("a", 1), _report("b", 1), _report("a", 2)):
        outbox.put(report)
    assert _named(await outbox.next_batch()) == [("b", 1), ("a", 2)]


async def test_what_changed_while_a_batch_was_on_its_way_is_sent_after_it() -> None:
    outbox = Outbox("compute")
    outbox.put(_report("a", 1))
    first = await outbox.next_batch()
    outbox.put(_report("a", 2))
    outbox.accepted(first.number - 1)
    outbox.accepted(first.number)
    assert _named(await outbox.next_batch()) == [("a", 2)]


async def test_a_batch_that_was_not_accepted_is_sent_again_on_the_next_connection() -> None:
    outbox = Outbox("compute")
    outbox.put(_report("a", 1))
    first = await outbox.next_batch()
    outbox.restart()
    second = await outbox.next_batch()
    assert _named(second) == [("a", 1)]
    outbox.accepted(first.number)
    assert not outbox.is_empty, "an answer to the older batch says nothing of this one"
    outbox.accepted(second.number)
    assert outbox.is_empty


async def test_batches_are_small() -> None:
    outbox = Outbox("compute")
    for at in range(250):
        outbox.put(_report(str(at), 1))
    sizes = []
    while not outbox.is_empty:
        batch = await outbox.next_batch()
        sizes.append(len(batch.reports))
        outbox.accepted(batch.number)
    assert sizes == [100, 100, 50]
