"""README's first server, pasted as it stands into a fresh shell, on a real guest; then taken away as README says."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.clouds import UserCloud, user_cloud

pytestmark = pytest.mark.root
REPOSITORY = Path(__file__).parents[2]
SECTION = (REPOSITORY / "README.md").read_text().split("## First server", 1)[1].split("\n## ", 1)[0]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserCloud]:
    home = tmp_path_factory.mktemp("home")
    with user_cloud(home, "journey") as made:
        _call_it_kilostack(home / ".config/openstack/clouds.yaml", made.name)
        yield made
        (home / ".config/openstack/clouds.yaml").unlink()


def _call_it_kilostack(path: Path, name: str) -> None:
    """README's name leads to this cloud, so that a cloud of that name on this machine is left in peace."""
    entries = yaml.safe_load(path.read_text())
    entries["clouds"]["kilostack"] = entries["clouds"][name]
    path.write_text(yaml.safe_dump(entries))


class Shell:
    """A shell on a terminal of its own, as a person has it."""

    def __init__(self, cloud: UserCloud) -> None:
        self._terminal, other = pty.openpty()
        # the way to the programs is for the block to find
        environment = {**cloud.environment, "PATH": os.environ["PATH"], "PS1": "ready> ", "TERM": "dumb"}
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],
            cwd=REPOSITORY,
            env=environment,
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
        )
        os.close(other)
        self.said = ""

    def paste(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def wait_for(self, pattern: str, deadline_s: float) -> None:
        """Until the terminal shows something new that matches."""
        begin, end = len(self.said), time.monotonic() + deadline_s
        while not re.search(pattern, self.said[begin:], re.M):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._terminal], [], [], left)[0]:
                raise AssertionError(f"no {pattern} within {deadline_s:g} s:\n{self.said}")
            self.said += os.read(self._terminal, 4096).decode(errors="replace").replace("\r", "")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)


@pytest.fixture(scope="module")
def shell(cloud: UserCloud) -> Iterator[Shell]:
    made = Shell(cloud)
    made.wait_for("^ready> ", 20)
    yield made
    made.close()


def test_the_first_server_of_readme(shell: Shell) -> None:
    found = re.search(r"```sh\n(.*?)```", SECTION, re.S)
    assert found is not None
    shell.paste(found[1])
    shell.wait_for(r"^uid=0\(root\)", 100)
    shell.wait_for("^root@first:~# ", 30)  # the guest's prompt: this is a login
    shell.paste("echo I am $(hostname)\n")
    shell.wait_for("^I am first$", 20)
    shell.paste("exit\n")
    shell.wait_for("^ready> ", 20)


def test_what_readme_made_is_taken_away_as_readme_says(cloud: UserCloud, shell: Shell) -> None:
    found = re.search(r"To take it away again: (.*?)\.\n", SECTION, re.S)
    assert found is not None
    for command in re.findall(r"`(.*?)`", found[1], re.S):
        shell.paste(" ".join(command.split()) + "; echo ended with $?\n")
        shell.wait_for("^ended with 0$", 60)
    assert not cloud.processes("qemu-system-x86_64")
    assert not (cloud.home / "first.pem").exists()
