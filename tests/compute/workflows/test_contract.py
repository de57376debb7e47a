"""The saga contract of the server's sagas, in a whole simulated cloud: succeeds; each step twice; failure at each step
leaves nothing behind; each undo twice; a crash before and after each commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kilostack.compute.service import KINDS
from kilostack.compute.workflows import server_create
from kilostack.core.errors import Refused
from kilostack.drivers.guests.port import Stop
from kilostack.workflow.saga import Saga, Step
from tests.sim import invariants
from tests.sim.cloud import Simulation
from tests.sim.loop import VirtualLoop

STEPS = tuple(step.name for step in server_create.SAGA.steps)


def simulate(
    folder: Path, body: Callable[[Simulation], Awaitable[None]], seed: int = 1, kinds: Sequence[Saga] = KINDS
) -> None:
    """Run `body` in a new cloud with two hosts on virtual time."""
    loop = VirtualLoop(seed)

    async def whole() -> None:
        simulation = Simulation(loop, folder, seed, hosts=2, kinds=kinds)
        try:
            await simulation.start()
            await body(simulation)
            assert not simulation.failures()
        finally:
            simulation.close()

    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(whole())
    finally:
        for task in (tasks := asyncio.all_tasks(loop)):
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()
        asyncio.set_event_loop(None)


async def create(simulation: Simulation) -> str:
    networks = (await simulation.ask("GET", "/network/v2.0/networks?name=private")).json()["networks"]
    images = (await simulation.ask("GET", "/image/v2/images?name=tiny")).json()["images"]
    body = {"name": "web", "imageRef": images[0]["id"], "flavorRef": "1", "networks": [{"uuid": networks[0]["id"]}]}
    answer = await simulation.ask("POST", "/compute/v2.1/servers", {"server": body})
    assert answer.status == 202, answer.body
    made: str = answer.json()["server"]["id"]
    return made


async def status(simulation: Simulation, server_id: str) -> str:
    """The shown status; "" when the server is gone."""
    answer = await simulation.ask("GET", f"/compute/v2.1/servers/{server_id}")
    return "" if answer.status == 404 else str(answer.json()["server"]["status"])


async def becomes(simulation: Simulation, server_id: str, wanted: str) -> None:
    async def holds() -> bool:
        return await status(simulation, server_id) == wanted

    await simulation.until(f"server is {wanted or 'gone'}", holds)


async def settles(simulation: Simulation, *servers: str) -> None:
    async def holds() -> bool:
        return not invariants.settled(simulation, set(servers))

    try:
        await simulation.until("everything is at rest", holds)
    except AssertionError:
        raise AssertionError(invariants.settled(simulation, set(servers))) from None
    invariants.always(simulation)


async def act(simulation: Simulation, server_id: str, verb: dict[str, Any]) -> None:
    answer = await simulation.ask("POST", f"/compute/v2.1/servers/{server_id}/action", verb)
    assert answer.status == 202, answer.body


async def whole_life(simulation: Simulation) -> None:
    """Create, every power verb, delete."""
    server_id = await create(simulation)
    await becomes(simulation, server_id, "ACTIVE")
    for verb, wanted in (
        ({"os-stop": None}, "SHUTOFF"),
        ({"os-start": None}, "ACTIVE"),
        ({"reboot": {"type": "SOFT"}}, "ACTIVE"),
        ({"reboot": {"type": "HARD"}}, "ACTIVE"),
    ):
        await act(simulation, server_id, verb)
        await becomes(simulation, server_id, wanted)
    await settles(simulation, server_id)
    await simulation.ask("DELETE", f"/compute/v2.1/servers/{server_id}")
    await becomes(simulation, server_id, "")
    await settles(simulation)


def test_each_saga_succeeds(tmp_path: Path) -> None:
    simulate(tmp_path, whole_life)


def test_a_guest_that_shut_itself_down_is_started_by_its_owner(tmp_path: Path) -> None:
    async def body(simulation: Simulation) -> None:
        server_id = await create(simulation)
        await becomes(simulation, server_id, "ACTIVE")
        for _ in range(2):
            (machine,) = (machine for machine in simulation.machines if server_id in machine.guests.guests)
            machine.guests.end(server_id, Stop.ITSELF)
            await becomes(simulation, server_id, "SHUTOFF")
            await settles(simulation, server_id)
            await act(simulation, server_id, {"os-start": None})
            await becomes(simulation, server_id, "ACTIVE")
            await settles(simulation, server_id)

    simulate(tmp_path, body)


def _twice(call: Any) -> Any:
    if call is None:
        return None

    async def both(*args: Any) -> Any:
        await call(*args)
        return await call(*args)

    return both


def doubled(saga: Saga) -> Saga:
    """The saga with every do and every undo of a neighbour made twice. Writes are made once, with their log entry."""
    steps = tuple(msgspec.structs.replace(step, do=_twice(step.do), undo=_twice(step.undo)) for step in saga.steps)
    return msgspec.structs.replace(saga, steps=steps)


def test_each_step_may_be_made_twice(tmp_path: Path) -> None:
    simulate(tmp_path, whole_life, kinds=[doubled(kind) for kind in KINDS])


def failing(saga: Saga, name: str) -> Saga:
    """The saga with one step that says a final no after it has done its work."""

    def after(call: Any) -> Any:
        async def refuse(*args: Any) -> Any:
            await call(*args)
            raise Refused(f"no {name}")

        return refuse

    def changed(step: Step) -> Step:
        if step.name != name:
            return step
        if step.do is not None:
            return msgspec.structs.replace(step, do=after(step.do))
        return msgspec.structs.replace(step, write=after(step.write))

    return msgspec.structs.replace(saga, steps=tuple(changed(step) for step in saga.steps))


@pytest.mark.parametrize("undo_twice", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_a_failure_at_each_step_leaves_nothing(tmp_path: Path, step: str, undo_twice: bool) -> None:
    create_saga = failing(server_create.SAGA, step)
    kinds = [create_saga if kind.name == "server_create" else kind for kind in KINDS]
    if undo_twice:
        kinds = [doubled(kind) for kind in kinds]

    async def body(simulation: Simulation) -> None:
        server_id = await create(simulation)
        await becomes(simulation, server_id, "ERROR")
        shown = await simulation.ask("GET", f"/compute/v2.1/servers/{server_id}")
        assert shown.json()["server"]["fault"]["message"] == f"no {step}"
        await settles(simulation, server_id)
        await simulation.ask("DELETE", f"/compute/v2.1/servers/{server_id}")
        await settles(simulation)

    simulate(tmp_path, body, kinds=kinds)


@pytest.mark.parametrize("delete_after_s", [0.0, 0.02, 0.05, 0.1, 0.3])
def test_a_delete_breaks_into_a_create(tmp_path: Path, delete_after_s: float) -> None:
    async def body(simulation: Simulation) -> None:
        simulation.faults.delay_s = 0.1
        server_id = await create(simulation)
        await simulation.here.sleep(delete_after_s)
        answer = await simulation.ask("DELETE", f"/compute/v2.1/servers/{server_id}")
        assert answer.status == 204
        await becomes(simulation, server_id, "")
        await settles(simulation)

    simulate(tmp_path, body)


@pytest.mark.parametrize("verb", ["create", "stop", "delete"])
def test_a_crash_at_each_commit_changes_nothing(tmp_path: Path, verb: str) -> None:
    """The control plane dies at the first, second, ... instant before or after a commit that follows the request."""
    for at in range(1, 25):
        folder = tmp_path / str(at)
        folder.mkdir()
        simulate(folder, _crashing(verb, at), seed=at)


def _crashing(verb: str, at: int) -> Callable[[Simulation], Awaitable[None]]:
    async def body(simulation: Simulation) -> None:
        control = simulation.control
        assert control is not None
        server_id = ""
        if verb != "create":
            server_id = await create(simulation)
            await becomes(simulation, server_id, "ACTIVE")
        control.world.crash_at = control.world.crash_points + at
        asked = simulation.loop.create_task(_ask(simulation, verb, server_id))
        while not control.world.dead:
            await simulation.here.sleep(0.05)
        await simulation.restart_control()
        server_id = await asked
        if verb == "delete":
            await settles(simulation)
        else:
            await becomes(simulation, server_id, "SHUTOFF" if verb == "stop" else "ACTIVE")
            await settles(simulation, server_id)

    return body


async def _ask(simulation: Simulation, verb: str, server_id: str) -> str:
    """Make the request, and again when its answer was lost and it was not taken."""
    path = f"/compute/v2.1/servers/{server_id}"
    if verb == "delete":
        await simulation.ask("DELETE", path)
    elif verb == "stop":
        # 409 says that it was taken, and its answer lost
        answer = await simulation.ask("POST", path + "/action", {"os-stop": None})
        assert answer.status in (202, 409)
    else:
        listed: list[Any] = []
        while not listed:
            try:
                return await create_once(simulation)
            except ConnectionError:
                listed = (await simulation.ask("GET", "/compute/v2.1/servers")).json()["servers"]
        return str(listed[0]["id"])
    return server_id


async def create_once(simulation: Simulation) -> str:
    networks = (await simulation.ask("GET", "/network/v2.0/networks?name=private")).json()["networks"]
    images = (await simulation.ask("GET", "/image/v2/images?name=tiny")).json()["images"]
    body = {"name": "web", "imageRef": images[0]["id"], "flavorRef": "1", "networks": [{"uuid": networks[0]["id"]}]}
    answer = await simulation.send("POST", "/compute/v2.1/servers", {"server": body})
    if answer.status == 503:
        raise ConnectionError("try again")
    assert answer.status == 202, answer.body
    return str(answer.json()["server"]["id"])


def test_the_log_of_a_saga_can_be_read_after_it_has_ended(tmp_path: Path) -> None:
    async def body(simulation: Simulation) -> None:
        server_id = await create(simulation)
        await becomes(simulation, server_id, "ACTIVE")
        told = (await simulation.ask("GET", f"/kilostack/v1/servers/{server_id}/why")).json()
        assert [entry["step"] for entry in told["sagas"][0]["steps"]] == list(STEPS)

    simulate(tmp_path, body)
