"""The user's own files: never lost, never followed astray, never left half written."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Shell


def up(shell: Shell, port: int, code: int = 0) -> str:
    done = shell.type("up", "--simulate", "--port", str(port), code=code)
    return done.stdout + done.stderr


@pytest.fixture
def clouds(shell: Shell) -> Path:
    shell.clouds_yaml.parent.mkdir(parents=True)
    return shell.clouds_yaml


def names(clouds: Path) -> list[str]:
    return sorted(yaml.safe_load(clouds.read_text())["clouds"])


def test_entries_of_others_stay_through_up_and_wipe(shell: Shell, port: int, clouds: Path) -> None:
    mine = "# mine\nclouds:\n  work: {region_name: x}  # good\n"
    clouds.write_text(mine)
    up(shell, port)
    assert names(clouds) == ["kilostack", "kilostack-admin", "work"]
    shell.type("down", "--wipe")
    assert clouds.read_text() == mine


def test_a_broken_file_is_left_alone_and_the_way_around_it_told(shell: Shell, port: int, clouds: Path) -> None:
    clouds.write_text("clouds: [\n")
    said = up(shell, port)
    assert "cannot be read by any client" in said
    assert "OS_CLIENT_CONFIG_FILE=" in said
    assert clouds.read_text() == "clouds: [\n"
    aside = Path(said.split("OS_CLIENT_CONFIG_FILE=")[1].split()[0])
    assert names(aside) == ["kilostack", "kilostack-admin"]
    clouds.unlink()
    up(shell, port)
    assert names(clouds) == ["kilostack", "kilostack-admin"]
    assert not aside.exists()


def test_a_file_that_is_read_only_is_left_alone(shell: Shell, port: int, clouds: Path) -> None:
    clouds.write_text("clouds:\n  work: {}\n")
    clouds.chmod(0o400)
    assert "read-only" in up(shell, port)
    assert clouds.read_text() == "clouds:\n  work: {}\n"


def test_a_file_that_is_no_text_is_left_alone(shell: Shell, port: int, clouds: Path) -> None:
    clouds.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in up(shell, port)
    assert clouds.read_bytes() == b"\xff\xfe\x00"


def test_a_link_stays_a_link(shell: Shell, port: int, clouds: Path, tmp_path: Path) -> None:
    dotfiles = tmp_path / "dotfiles.yaml"
    dotfiles.write_text("clouds:\n  work: {}\n")
    clouds.symlink_to(dotfiles)
    up(shell, port)
    assert clouds.is_symlink()
    assert names(dotfiles) == ["kilostack", "kilostack-admin", "work"]


def test_a_file_that_others_may_read_is_closed_to_them(shell: Shell, port: int, clouds: Path) -> None:
    clouds.write_text("clouds: {}\n")
    clouds.chmod(0o644)
    up(shell, port)
    assert stat.S_IMODE(clouds.stat().st_mode) == 0o600


def test_a_cloud_of_the_same_name_elsewhere_is_not_replaced(shell: Shell, port: int, clouds: Path) -> None:
    mine = "clouds:\n  kilostack:\n    auth:\n      auth_url: https://cloud.example.org/v3\n"
    clouds.write_text(mine)
    said = up(shell, port, code=1)
    assert "leads elsewhere" in said
    assert "--name" in said
    assert clouds.read_text() == mine
    assert not shell.state_dir.exists()


def test_an_entry_that_the_user_has_changed_comes_back(shell: Shell, port: int, clouds: Path) -> None:
    up(shell, port)
    before = clouds.read_text()
    clouds.write_text(before.replace("RegionOne", "Elsewhere"))
    up(shell, port)
    assert clouds.read_text() == before


def test_wipe_leaves_an_entry_that_is_another_clouds_now(shell: Shell, port: int, clouds: Path) -> None:
    up(shell, port)
    changed = clouds.read_text().replace(f":{port}/", ":1/")
    clouds.write_text(changed)
    shell.type("down", "--wipe")
    assert clouds.read_text() == changed


def test_clients_find_it_where_xdg_says(shell: Shell, port: int, tmp_path: Path) -> None:
    shell.environment["XDG_CONFIG_HOME"] = str(tmp_path / "config")
    shell.environment["XDG_STATE_HOME"] = str(tmp_path / "state")
    up(shell, port)
    assert names(tmp_path / "config/openstack/clouds.yaml") == ["kilostack", "kilostack-admin"]
    assert (tmp_path / "state/kilostack/kilostack/settings.json").exists()
    assert not (shell.home / ".config").exists()
