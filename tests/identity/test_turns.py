"""Who waits is let in by turns, and whoever goes away while waiting takes nobody's room along."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilostack.identity.app.turns import Turns


class _Hall:
    """Remembers who came in, in which order; everybody stays until they are let go."""

    def __init__(self, at_once: int) -> None:
        self.turns, self.order = Turns(at_once), list[str]()
        self.doors: list[asyncio.Event] = []

    async def visit(self, kind: str) -> None:
        async with self.turns.taken(kind):
            self.order.append(kind)
            door = asyncio.Event()
            self.doors.append(door)
            await door.wait()

    def come(self, kinds: str) -> list[asyncio.Task[None]]:
        return [asyncio.ensure_future(self.visit(kind)) for kind in kinds]

    async def empty(self) -> None:
        """Let everybody go, one after the other."""
        for _ in range(100):
            await asyncio.sleep(0)
            if self.doors:
                self.doors.pop(0).set()


async def test_one_with_many_does_not_keep_out_one_with_few() -> None:
    hall = _Hall(2)
    tasks = hall.come("aaaaaaaabbc")
    await hall.empty()
    await asyncio.gather(*tasks)
    assert "".join(hall.order) == "aa" + "abc" + "ab" + "aaaa"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=12), st.integers(1, 3))
def test_nobodys_room_is_lost(visits: list[tuple[str, bool]], at_once: int) -> None:
    async def scene() -> None:
        hall = _Hall(at_once)
        tasks = hall.come("".join(kind for kind, _ in visits))
        await asyncio.sleep(0)
        for task, (_, leaves) in zip(tasks, visits, strict=True):
            if leaves:
                task.cancel()
        await hall.empty()
        for task, (_, leaves) in zip(tasks, visits, strict=True):
            assert task.done()
            assert task.cancelled() is leaves
        after = hall.come("z" * at_once)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert hall.order[-at_once:] == ["z"] * at_once
        await hall.empty()
        await asyncio.gather(*after)

    asyncio.run(scene())


async def test_who_is_let_in_and_goes_at_the_same_moment_lets_the_next_in() -> None:
    hall = _Hall(1)
    first, second, third = hall.come("abc")
    await asyncio.sleep(0)
    hall.doors.pop().set()
    await asyncio.sleep(0)
    # the second has its turn and has not begun
    second.cancel()
    await hall.empty()
    with pytest.raises(asyncio.CancelledError):
        await second
    await asyncio.gather(first, third)
    assert hall.order[-1] == "c"
