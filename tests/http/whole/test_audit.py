"""The audit log of a whole cloud: who changed what is there, and whoever touches it is found out."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http.whole.simulated import IDENTITY, NETWORK, TOKENS, SimulatedCloud, password_body


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedCloud]:
    """A cloud of its own, in which a few things were changed; it has been stopped."""
    cloud = SimulatedCloud(Path(tmp_path_factory.mktemp("audit")), "audit")
    cloud.up()
    bird = cloud.new_project("bird", "member")
    network = bird.make(f"{NETWORK}/networks", {"network": {"name": "nest"}})
    bird.remove(f"{NETWORK}/networks/{network['id']}")
    assert bird.ask("DELETE", f"{IDENTITY}/users/{bird.user_id}").status == 403
    for user, password in (("bird", "wrong"), ("nobody-of-this-name", "wrong")):
        assert cloud.ask("POST", TOKENS, password_body(user, password)).status == 401
    (cloud.home / "ids").write_text(json.dumps({"user": bird.user_id, "network": network["id"]}))
    cloud.down()
    yield cloud
    cloud.down("--wipe")


def _list(cloud: SimulatedCloud, *args: str) -> list[dict[str, Any]]:
    return list(json.loads(cloud.kilostack("audit", "list", "--name", cloud.name, "-f", "json", *args).stdout))


def _verify(cloud: SimulatedCloud, *args: str) -> tuple[int, dict[str, Any]]:
    done = cloud.kilostack("audit", "verify", "--name", cloud.name, "-f", "json", *args, check=False)
    return done.returncode, json.loads(done.stdout)


def test_what_a_user_did_is_told(busy: SimulatedCloud) -> None:
    ids = json.loads((busy.home / "ids").read_text())
    told = [(record["action"], record["status"], record["outcome"]) for record in _list(busy, "--user", ids["user"])]
    assert told == [
        (f"POST {TOKENS}", 201, "success"),
        (f"POST {NETWORK}/networks", 201, "success"),
        (f"DELETE {NETWORK}/networks/{{id}}", 204, "success"),
        (f"DELETE {IDENTITY}/users/{{user_id}}", 403, "denied"),
        (f"POST {TOKENS}", 401, "denied"),
    ]
    made, removed = _list(busy, "--target", ids["network"])
    assert made["address"] == removed["address"] == "127.0.0.1"
    assert _list(busy, "--request", made["request_id"]) == [made]
    newest = _list(busy, "--limit", "1")
    assert [(record["status"], record["user"]) for record in newest] == [(401, None)]


def test_a_log_that_nobody_touched_is_whole(busy: SimulatedCloud) -> None:
    code, found = _verify(busy)
    assert (code, found["problems"]) == (0, [])
    assert _verify(busy, "--noted", found["newest"])[0] == 0
    assert _verify(busy, "--noted", f"3:{'0' * 64}") == (
        2,
        found | {"problems": ["record 3 is not the one that was noted"]},
    )


def test_whoever_touches_it_is_found_out(busy: SimulatedCloud) -> None:
    file = busy.state_dir / "db/audit.db"
    kept = file.read_bytes()
    for statement, told in (
        ("UPDATE audit_records SET record = replace(record, 'denied', 'success') WHERE seq = 8", "record 8 was"),
        ("DELETE FROM audit_records WHERE seq = 2", "record 2 is missing"),
        ("DELETE FROM audit_records WHERE seq > 6", "records 7 to "),
    ):
        database = sqlite3.connect(file)
        assert database.execute(statement).rowcount
        database.commit()
        database.close()
        code, found = _verify(busy)
        assert code == 2 and told in found["problems"][0]
        file.write_bytes(kept)
    assert _verify(busy)[0] == 0


def test_who_has_an_answer_has_a_record(tmp_path: Path) -> None:
    cloud = SimulatedCloud(tmp_path, "killed")
    cloud.up()
    try:
        demo = cloud.log_in("demo")
        (control,) = (row["pid"] for row in cloud.status() if row["role"] == "control-plane")
        made = demo.make(f"{NETWORK}/networks", {"network": {"name": "last"}})
        os.kill(control, signal.SIGKILL)
        assert [record["status"] for record in _list(cloud, "--target", made["id"])] == [201]
        assert _verify(cloud)[0] == 0
    finally:
        cloud.down("--wipe")


def test_without_a_cloud_there_is_nothing_to_list(busy: SimulatedCloud) -> None:
    done = busy.kilostack("audit", "list", "--name", "other", check=False)
    assert done.returncode == 1 and "no such cloud" in done.stderr
