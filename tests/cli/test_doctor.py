"""What `kilostack doctor` finds, on this machine and on others as their files describe them."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from kilostack.cli import checks
from tests.cli.conftest import Shell


def machine(root: Path, release: str, version: str = "Linux version 6.1") -> Path:
    (root / "etc").mkdir()
    (root / "proc").mkdir()
    (root / "etc/os-release").write_text(release)
    (root / "proc/version").write_text(version)
    return root


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ('ID=debian\nVERSION_ID="12"\n', "debian 12"),
        ('ID=debian\nVERSION_ID="13"\n', "debian 13"),
        ('NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="24.04"\n', "ubuntu 24.04"),
    ],
)
def test_systems_that_are_tried(tmp_path: Path, release: str, name: str) -> None:
    found = checks.system(machine(tmp_path, release), "Linux")
    assert checks.about_system(found)[0] == checks.Finding("system", "ok", name)
    assert found.get("nftables") == "sudo apt-get install nftables"


def test_wsl_is_known_and_told_what_guests_need(tmp_path: Path) -> None:
    found = checks.system(machine(tmp_path, "ID=ubuntu\nVERSION_ID=24.04\n", "5.15-microsoft-standard-WSL2"), "Linux")
    finding = checks.about_system(found)[0]
    assert finding.state == "note"
    assert "WSL2" in finding.found
    assert "nestedVirtualization" in finding.remedy


def test_macos_can_simulate(tmp_path: Path) -> None:
    finding = checks.about_system(checks.system(tmp_path, "Darwin"))[0]
    assert (finding.state, finding.found) == ("missing", "macOS")
    assert "--simulate" in finding.remedy


def test_another_distribution_is_named_and_given_package_names(tmp_path: Path) -> None:
    found = checks.system(machine(tmp_path, "ID=fedora\nVERSION_ID=44\n"), "Linux")
    assert checks.about_system(found)[0].state == "note"
    assert "nftables" in found.get("nftables")
    assert "apt-get" not in found.get("nftables")


def test_a_taken_port_names_its_holder() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        finding = checks.about_port(taken.getsockname()[1], running=False)
    assert finding.state == "missing"
    assert str(os.getpid()) in finding.found


def test_the_exit_code_says_whether_something_is_missing(shell: Shell) -> None:
    done = shell.type("doctor", "-f", "json", code=None)
    findings = json.loads(done.stdout)
    assert done.returncode == int(any(finding["state"] == "missing" for finding in findings))
    assert {"check", "state", "found", "remedy"} == set(findings[0])
    assert all(finding["remedy"] for finding in findings if finding["state"] == "missing")


@pytest.mark.root
def test_this_machine_has_what_a_real_cloud_needs(shell: Shell) -> None:
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("QEMU is not installed")
    said = shell.type("doctor").stdout
    assert "bridge, veth, vxlan" in said
    assert "security groups" in said
