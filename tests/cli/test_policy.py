"""`kilostack policy`, and `up` with an operator's file of rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kilostack.cli.main import main
from kilostack.core import settings
from tests.cli.conftest import Shell


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rules.yaml"


def test_a_good_file_is_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("identity:list_users: role:auditor\n")
    assert main(["policy", "check", "identity", str(file)]) == 0
    assert "1 rule, and identity can use" in capsys.readouterr().out


def test_a_wrong_one_is_told_with_its_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("# ours\nidentity:list_usrs: role:auditor\n")
    assert main(["policy", "check", "identity", str(file)]) != 0
    said = capsys.readouterr().err
    assert f"{file}:2: " in said and "did you mean 'identity:list_users'?" in said


def test_the_table_follows_the_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def row() -> dict[str, str]:
        rows = json.loads(capsys.readouterr().out)
        return next(row for row in rows if row["rule"] == "identity:list_services")

    file.write_text("identity:list_services: role:member\n")
    assert main(["policy", "table", "identity", "-f", "json"]) == 0
    before = row()
    assert (before["system reader"], before["project member"]) == ("all", None)
    assert main(["policy", "table", "identity", str(file), "-f", "json"]) == 0
    after = row()
    assert (after["system reader"], after["project member"], after["domain member"]) == (None, "all", None)


def test_the_list_shows_what_holds(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("mine: role:boss\nget_images: rule:mine\n")
    assert main(["policy", "list", "image", str(file), "-f", "json"]) == 0
    rows = {row["rule"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["get_images"] == {"rule": "get_images", "scopes": ["project"], "check": "rule:mine"}
    assert rows["mine"]["check"] == "role:boss"


def test_up_remembers_the_file_and_refuses_a_wrong_one(shell: Shell, port: int, file: Path) -> None:
    asked = ("up", "--simulate", "--port", str(port), "--policy", f"identity={file}")
    assert "No such file" in shell.type(*asked, code=1).stderr
    file.write_text("identity:list_users: '(role:auditor'\n")
    assert f"{file}:1: " in shell.type(*asked, code=1).stderr
    assert "no service 'idenity'" in shell.type(*asked[:-1], f"idenity={file}", code=1).stderr
    assert not shell.state_dir.exists()
    file.write_text("identity:list_users: role:auditor\n")
    shell.type(*asked)
    assert settings.load(shell.state_dir).policies == {"identity": file}
    shell.type("down")
    shell.type("up")
    assert settings.load(shell.state_dir).policies == {"identity": file}
    shell.type("down")
    shell.type("up", "--policy", "identity=")
    assert settings.load(shell.state_dir).policies == {}
    shell.type("down", "--wipe")
