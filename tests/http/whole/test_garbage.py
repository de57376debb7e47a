"""Every route of every public table, by several people, with requests that no client should send: never a 500."""

from __future__ import annotations

import random
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http.whole.bodies import bodies
from tests.http.whole.garbage import Garbage, Table
from tests.http.whole.simulated import COMPUTE, IDENTITY, NETWORK, Answer, Login, SimulatedCloud, message_of
from tests.http.whole.things import belongings, new_image, public_routes

#: requests for one route by one person
COUNT = 12
SEEDS = 2


@pytest.fixture
def cloud() -> Iterator[SimulatedCloud]:
    """A cloud of its own: nothing in it is safe."""
    with tempfile.TemporaryDirectory(prefix="ks-garbage-") as home:
        made = SimulatedCloud(Path(home), "garbage")
        made.up()
        yield made
        made.down("--wipe")


@pytest.fixture
async def routes(tmp_path: Path) -> AsyncIterator[list[tuple[str, str]]]:
    async with public_routes(tmp_path) as found:
        yield found


def _things(owner: Login, name: str, admin: Login, number: int) -> dict[str, str]:
    """Ids of things that exist, by collection and field of the path."""
    user = admin.make(f"{IDENTITY}/users", {"user": {"name": f"victim-{number}", "password": "p"}})["id"]
    flavor = {"name": f"f{number}", "ram": 64, "vcpus": 1, "disk": 1}
    role = admin.make(f"{IDENTITY}/roles", {"role": {"name": f"r{number}"}})["id"]
    service = admin.make(f"{IDENTITY}/services", {"service": {"type": f"t{number}"}})["id"]
    endpoint = {"service_id": service, "interface": "public", "url": "http://x.test"}
    return belongings(owner, new_image(admin, visibility="public")) | {
        "agents/id": admin.get(f"{NETWORK}/agents")["agents"][0]["id"],
        "flavors/flavor_id": admin.make(f"{COMPUTE}/flavors", {"flavor": flavor})["id"],
        "os-services/service_id": admin.get(f"{COMPUTE}/os-services")["services"][0]["id"],
        "os-hypervisors/hypervisor_id": admin.get(f"{COMPUTE}/os-hypervisors")["hypervisors"][0]["id"],
        "key": "k",
        "user": name,
        "password": f"{name}-password",
        "token": owner.token,
        "users/record_id": user,
        "users/user_id": user,
        "projects/record_id": admin.make(f"{IDENTITY}/projects", {"project": {"name": f"p{number}"}})["id"],
        "domains/record_id": "default",
        "roles/record_id": role,
        "roles/role_id": role,
        "regions/record_id": admin.make(f"{IDENTITY}/regions", {"region": {"id": f"known-{number}"}})["id"],
        "services/record_id": service,
        "endpoints/record_id": admin.make(f"{IDENTITY}/endpoints", {"endpoint": endpoint})["id"],
    }


def _wrong(answer: Answer, asked: Garbage) -> str | None:
    """What is wrong with an answer to garbage; None when all is well."""
    if answer.status >= 500 and answer.status != 501:
        return f"answered {answer.status}"
    if "x-injected" in answer.headers:
        return "wrote a header that the request made up"
    if answer.status < 400 or asked.method == "HEAD":
        return None
    try:
        message = message_of(answer.json(), answer.status)
    except (ValueError, AssertionError, AttributeError, KeyError, TypeError) as error:
        return f"is in no dialect: {error!r}"
    if len(message) > 2100:
        return f"tells {len(message)} characters"
    return None


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_garbage_is_refused_in_the_dialect_of_the_service(
    cloud: SimulatedCloud, routes: list[tuple[str, str]], seed: int
) -> None:
    chance = random.Random(seed)
    owner = cloud.new_project(f"owner-{seed}", "member")
    stranger, reader = cloud.new_project(f"stranger-{seed}", "member"), cloud.new_project(f"reader-{seed}", "reader")
    admin = cloud.log_in("admin")
    known = _things(owner, f"owner-{seed}", admin, seed)
    table = Table(chance, bodies(known), known)
    problems: list[Any] = []
    people: list[tuple[str, str | None]] = [("owner", owner.token), ("stranger", stranger.token)]
    people += [("reader", reader.token), ("admin", admin.token), ("nobody", None), ("liar", "x" * 300)]
    # what has a project in its path is the same operation once more
    ways = [(method, path) for method, path in routes if "{project_id:uuid}/" not in path]
    plan = [(person, method, path) for person in people for method, path in ways]
    # what exists is to be looked at before it is removed
    chance.shuffle(plan)
    plan.sort(key=lambda item: item[1] == "DELETE")
    for (who, token), method, template in plan:
        for asked in table.requests(method, template, COUNT if token else 2):
            answer = cloud.ask(
                asked.method, asked.path, asked.body, token=token, version=asked.version, headers=asked.headers
            )
            if (wrong := _wrong(answer, asked)) is not None:
                request = (who, asked.method, template, asked.path[:300], (asked.body or b"")[:600], asked.version)
                problems.append((wrong, *request, answer.status, answer.body[:600]))
    assert not problems, f"{len(problems)} problems, the first are:\n" + "\n\n".join(map(str, problems[:30]))
    assert cloud.ask("GET", "/readyz").status == 200
    assert "traceback" not in cloud.log()
