"""New keys while people work: no token is refused that holds, in any process, at any moment."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from kilostack.bus.hints import LocalHints
from kilostack.cli import main as cli
from kilostack.cli import state
from kilostack.core.secret import Secret
from kilostack.core.settings import Settings
from kilostack.core.vault import Keys, Vault, load_master_key
from kilostack.core.world import RealWorld
from kilostack.http.verifier import Verifier
from kilostack.identity.app.ground import IdentityParts
from kilostack.identity.service import IdentityService
from kilostack.identity.store import tokens as store
from kilostack.identity.store.credentials import CREDENTIALS
from kilostack.identity.store.tables import META, SCHEMA_NUMBER
from kilostack.store.sqlite import SqliteDatabase
from kilostack.wire.calls import LocalCalls
from tests.databases import silent
from tests.http.cloud import Client, client
from tests.http.identity.conftest import ADMIN, CHEAP, DEMO, PLACES, IdentityCloud


class Machine:
    """A cloud as `kilostack up` leaves it on disk; its identity runs in this process and is told of nothing."""

    def __init__(self, root: Path) -> None:
        self.settings = Settings(name="rotating", state_dir=root / "state", run_dir=root / "run")
        state.make(self.settings)

    def type(self, *words: str) -> int:
        return cli.main([*words, "--state-dir", str(self.settings.state_dir)])

    def type_elsewhere(self, *words: str) -> int:
        """As a process of its own, so that what it takes is not taken for what a request takes."""
        argv = [sys.executable, "-m", "kilostack.cli", *words, "--state-dir", str(self.settings.state_dir)]
        return subprocess.run(argv, check=False, timeout=60).returncode

    async def identity(self, world: RealWorld) -> tuple[IdentityCloud, SqliteDatabase]:
        path = self.settings.state.master_key
        raw = load_master_key(path)
        db = SqliteDatabase(self.settings.state.databases / "identity.db", world, silent)
        db.prepare("identity", SCHEMA_NUMBER, META)
        vault = Vault(raw, reread=path.read_bytes)
        service = IdentityService(IdentityParts(db=db, world=world, vault=vault, hash_cost=CHEAP))
        await service.bootstrap(Secret(ADMIN), Secret(DEMO), PLACES)
        await service.start()
        calls, hints = LocalCalls(world), LocalHints(world)
        calls.serve(service.answers)
        verifier = Verifier(calls, hints, world)
        await verifier.start()
        asking: Client = client([service.api, service.root], world, verifier)
        return IdentityCloud(service, asking, world, db), db  # type: ignore[arg-type]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


async def test_tokens_hold_while_keys_change(machine: Machine, world: RealWorld) -> None:
    cloud, db = await machine.identity(world)
    tokens = [await cloud.demo()]
    busy = True

    async def work() -> None:
        while busy:
            identity = {"methods": ["token"], "token": {"id": tokens[-1]}}
            made = await cloud.ask("POST", "/auth/tokens", json={"auth": {"identity": identity}})
            assert made.status == 201
            tokens.append(made.headers["x-subject-token"])
            for token in (tokens[0], tokens[-1]):
                assert (await cloud.ask("GET", "/auth/projects", token)).status == 200
            # nothing of this waits for anything: others want their turn
            await world.sleep(0)

    async def rotate() -> None:
        assert await world.in_thread(machine.type_elsewhere, "identity", "rotate-keys") == 0

    working = asyncio.gather(*(work() for _ in range(2)))
    try:
        await asyncio.gather(rotate(), rotate())
    finally:
        busy = False
        await working
    keys = await db.read(lambda tx: store.KEYS.where(tx))
    assert len(keys) == 3
    assert (await cloud.ask("GET", "/auth/projects", tokens[0])).status == 200
    await db.close()


async def test_secrets_are_read_and_written_while_their_key_changes(machine: Machine, world: RealWorld) -> None:
    cloud, db = await machine.identity(world)
    demo, user_id = await cloud.demo(), await cloud.id_of("users", "demo")
    before = Vault(load_master_key(machine.settings.state.master_key)).newest

    async def kept(blob: str) -> str:
        body = {"credential": {"blob": blob, "type": "cert", "user_id": user_id}}
        made = await cloud.ask("POST", "/credentials", demo, json=body)
        assert made.status == 201
        return str(made.json()["credential"]["id"])

    made = {await kept("first"): "first"}
    for turn in range(3):
        assert await world.in_thread(machine.type, "identity", "rotate-credentials-key") == 0
        made[await kept(f"turn {turn}")] = f"turn {turn}"
        for credential_id, blob in made.items():
            shown = (await cloud.ask("GET", f"/credentials/{credential_id}", demo)).json()
            assert shown["credential"]["blob"] == blob
    names = Keys.of(load_master_key(machine.settings.state.master_key)).names()
    assert len(names) == 2
    assert before not in names
    sealed = [record.blob_sealed for record in await db.read(lambda tx: CREDENTIALS.where(tx))]
    assert {text.partition(":")[0] for text in sealed} == {names[0]}
    await db.close()


def test_a_cloud_that_never_ran_has_no_keys(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert machine.type("identity", "rotate-keys") == 1
    assert "never ran" in capsys.readouterr().err
    assert machine.type("identity", "rotate-credentials-key") == 1


def test_a_cloud_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["identity", "rotate-keys", "--state-dir", str(tmp_path / "nothing")]) == 1
    assert "no such cloud" in capsys.readouterr().err
