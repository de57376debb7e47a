"""`kill -9` of everything at any moment of creates and deletes, then `up`: nothing lost, doubled or stuck."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.http.whole.simulated import COMPUTE, NETWORK, TOKENS, Login, SimulatedCloud, password_body, wait_until
from tests.http.whole.things import new_network, public_network

ROUNDS = 10
WORKERS = 4


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[SimulatedCloud]:
    made = SimulatedCloud(tmp_path, "mortal", "--hosts", "2")
    made.up()
    yield made
    made.down("--wipe")


@dataclass
class Promises:
    """Names of servers whose create was acknowledged, whose delete was, and of which nobody knows."""

    made: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)

    def add(self, other: Promises) -> None:
        self.made |= other.made
        self.gone |= other.gone
        self.unsure |= other.unsure


class Worker(threading.Thread):
    """Creates and deletes servers until the cloud goes away; remembers what it was promised."""

    #: servers that it holds at a time
    most = 1000

    def __init__(self, owner: Login, wanted: dict[str, Any], label: str, chance: random.Random) -> None:
        super().__init__()
        self._owner, self._wanted, self._label, self._chance = owner, wanted, label, chance
        self.promised = Promises()
        self.wrong: list[Any] = []

    def run(self) -> None:
        number = 0
        held: list[tuple[str, str]] = []
        try:
            while True:
                if len(held) >= self.most or (held and self._chance.random() < 0.5):
                    self._take_away(*held.pop(self._chance.randrange(len(held))))
                else:
                    number += 1
                    held += self._make(f"{self._label}-{number}")
        except (OSError, EOFError, ConnectionError):
            return
        except Exception as error:
            # an answer that breaks off in the middle is a cloud that goes away, too
            if "http.client" not in type(error).__module__:
                self.wrong.append(error)

    def _make(self, name: str) -> list[tuple[str, str]]:
        self.promised.unsure.add(name)
        answer = self._owner.ask("POST", f"{COMPUTE}/servers", {"server": self._wanted | {"name": name}}, again=False)
        if answer.status not in (202, 403):
            self.wrong.append(answer)
            raise EOFError
        self.promised.unsure.discard(name)
        if answer.status == 403:
            # those that are on their way out are counted until they are gone
            return []
        self.promised.made.add(name)
        return [(name, answer.json()["server"]["id"])]

    def _take_away(self, name: str, server_id: str) -> None:
        self.promised.made.discard(name)
        self.promised.unsure.add(name)
        answer = self._owner.ask("DELETE", f"{COMPUTE}/servers/{server_id}", again=False)
        if answer.status != 204:
            self.wrong.append(answer)
            raise EOFError
        self.promised.unsure.discard(name)
        self.promised.gone.add(name)


def kill_everything(cloud: SimulatedCloud) -> None:
    """No process of the cloud gets to say anything any more; the supervisor first, so that it repairs nothing."""
    rows = cloud.status()
    rows.sort(key=lambda row: row["role"] != "supervisor")
    pids = list(dict.fromkeys(row["pid"] for row in rows if row["pid"]))
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    wait_until(lambda: not any(_lives(pid) for pid in pids), "the end of all processes")


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def rows(cloud: SimulatedCloud, service: str, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{cloud.state_dir / 'db' / service}.db?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def unsettled(cloud: SimulatedCloud) -> list[str]:
    """What is still to be done, or was left behind; empty when everything is as it should be."""
    left = [
        f"saga {row}" for row in rows(cloud, "compute", "SELECT kind, state, error FROM sagas WHERE state != 'ended'")
    ]
    servers = {
        row[0]: row[1:] for row in rows(cloud, "compute", "SELECT id, state, task_state, saga_id, host FROM servers")
    }
    left += [f"server {key} {row}" for key, row in servers.items() if row[0] != "ACTIVE" or row[1] or row[2]]
    placed = set(servers)
    holders = {row[0] for row in rows(cloud, "placement", "SELECT id FROM consumers")}
    if holders != placed:
        left.append(f"allocations {holders ^ placed}")
    ports = rows(cloud, "network", "SELECT device_id FROM ports WHERE device_owner LIKE 'compute:%'")
    if Counter(row[0] for row in ports) != Counter(placed):
        left.append(f"ports {Counter(row[0] for row in ports)} of {placed}")
    guests = {row[0] for row in rows(cloud, "compute", "SELECT server_id FROM guests")}
    if guests != placed:
        left.append(f"guests {guests ^ placed}")
    down = rows(cloud, "network", "SELECT id FROM ports WHERE device_owner LIKE 'compute:%' AND status != 'ACTIVE'")
    left += [f"port {row[0]} is not active" for row in down]
    return left


def check_counts(cloud: SimulatedCloud) -> None:
    """Every counter equals what there is."""
    live: dict[str, Counter[str]] = {}
    for project, flavor in rows(cloud, "compute", "SELECT project_id, flavor FROM servers"):
        facts = msgspec.json.decode(flavor)
        counter = live.setdefault(project, Counter())
        counter.update(servers=1, cores=facts["vcpus"], memory_mib=facts["memory_mib"])
    for project, *counted in rows(cloud, "compute", "SELECT project_id, servers, cores, memory_mib FROM usages"):
        held = live.get(project, Counter())
        assert counted == [held["servers"], held["cores"], held["memory_mib"]]
    ports = Counter(row[0] for row in rows(cloud, "network", "SELECT project_id FROM ports"))
    for project, counted in rows(cloud, "network", "SELECT project_id, port FROM project_usage"):
        assert counted == ports[project]
    used: Counter[tuple[str, str]] = Counter()
    for provider, name, amount in rows(
        cloud,
        "placement",
        "SELECT provider_id, resource_class, amount FROM allocations JOIN consumers ON consumers.id = consumer_id",
    ):
        used[provider, name] += amount
    for provider, name, counted in rows(
        cloud, "placement", "SELECT provider_id, resource_class, used FROM inventories"
    ):
        assert counted == used[provider, name]
    addresses = rows(
        cloud, "network", "SELECT subnet_id, number, COUNT(*) FROM addresses GROUP BY 1, 2 HAVING COUNT(*) > 1"
    )
    assert not addresses


def test_killed_at_any_moment(cloud: SimulatedCloud) -> None:
    seed = random.SystemRandom().randrange(1 << 30)
    chance = random.Random(seed)
    owner = cloud.new_project("mortals", "member")
    admin = cloud.log_in("admin")
    limits = {"quota_set": {"instances": -1, "cores": -1, "ram": -1}}
    assert admin.ask("PUT", f"{COMPUTE}/os-quota-sets/{owner.project_id}", limits).status == 200
    assert admin.ask("PUT", f"{NETWORK}/quotas/{owner.project_id}", {"quota": {"port": -1}}).status == 200
    network, _ = new_network(owner, "10.20.0.0/16")
    wanted = {"flavorRef": owner.flavor("m1.tiny"), "imageRef": owner.image(), "networks": [{"uuid": network}]}
    promised = Promises()
    for turn in range(ROUNDS):
        workers = [Worker(owner, wanted, f"t{turn}-w{n}", random.Random(f"{seed}/{turn}/{n}")) for n in range(WORKERS)]
        for worker in workers:
            worker.start()
        time.sleep(chance.uniform(0.02, 0.7))
        kill_everything(cloud)
        for worker in workers:
            worker.join()
            assert not worker.wrong, (seed, turn, worker.wrong)
            promised.add(worker.promised)
        cloud.up()
        # the token of before is still one
        wait_until(lambda: owner.ask("GET", f"{COMPUTE}/servers").status == 200, "the cloud answers")
        if turn % 3 == 2 or turn == ROUNDS - 1:
            _converged(cloud, owner, promised, f"seed {seed}, turn {turn}")
            _all_removed(cloud, owner, f"seed {seed}, turn {turn}")
            promised = Promises(gone=promised.gone | promised.made | promised.unsure)
    owner.remove(f"{NETWORK}/networks/{network}")
    assert '"traceback"' not in cloud.log()


def _converged(cloud: SimulatedCloud, owner: Login, promised: Promises, where: str) -> None:
    wait_until(lambda: not unsettled(cloud), lambda: f"{where}: {unsettled(cloud)}")
    check_counts(cloud)
    names = Counter(server["name"] for server in owner.get(f"{COMPUTE}/servers?limit=1000")["servers"])
    assert not [name for name, count in names.items() if count > 1], where
    assert promised.made <= names.keys(), (where, promised.made - names.keys())
    assert not promised.gone & names.keys(), (where, promised.gone & names.keys())
    unknown = names.keys() - promised.made - promised.unsure
    assert not unknown, (where, unknown)


def _all_removed(cloud: SimulatedCloud, owner: Login, where: str) -> None:
    """Nothing is left of any server, and the hosts have room again."""
    for server in owner.get(f"{COMPUTE}/servers?limit=1000")["servers"]:
        owner.remove(f"{COMPUTE}/servers/{server['id']}")
    wait_until(lambda: not owner.get(f"{COMPUTE}/servers")["servers"], "all servers are gone")
    wait_until(lambda: not unsettled(cloud), lambda: f"{where}: {unsettled(cloud)}")
    check_counts(cloud)


def test_the_control_plane_alone_is_killed_under_load(cloud: SimulatedCloud) -> None:
    """The supervisor brings it back by itself; clients that try again see nothing worse than a pause."""
    owner = cloud.log_in("demo")
    network, _ = new_network(owner, "10.21.0.0/16")
    wanted = {"flavorRef": owner.flavor("m1.tiny"), "imageRef": owner.image(), "networks": [{"uuid": network}]}
    for turn in range(3):
        chance = random.Random(turn)
        workers = [Worker(owner, wanted, f"t{turn}-w{n}", chance) for n in range(2)]
        for worker in workers:
            worker.start()
        time.sleep(0.3)
        before = next(row for row in cloud.status() if row["role"] == "identity-api" or row["role"] == "control-plane")
        os.kill(before["pid"], signal.SIGKILL)
        for worker in workers:
            worker.join()
            assert not worker.wrong
        body = password_body("demo", cloud.passwords()["demo"], "demo")

        def answers(body: Any = body) -> bool:
            try:
                return cloud.ask("POST", TOKENS, body).status == 201
            except OSError:
                return False

        wait_until(answers, "the control plane is back", 20)
        wait_until(lambda: not unsettled(cloud), lambda: str(unsettled(cloud)))
        check_counts(cloud)
    assert public_network(owner)
