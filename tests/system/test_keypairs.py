"""Key pairs, generated and brought along."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.clouds import UserCloud


def test_generated(client: UserCloud) -> None:
    if "2.92" in client.client:
        # from 2.92 the API makes no keys, and this client cannot make them itself, at any cloud
        assert "public_key" in client.refused("keypair", "create", "made")
        return
    path = client.keypair("made")
    shown = client.ask("keypair", "show", "made")
    assert (shown["name"], shown["type"]) == ("made", "ssh")
    public = client.openstack("keypair", "show", "--public-key", "made").split()[:2]
    derived = subprocess.run(["ssh-keygen", "-y", "-f", str(path)], capture_output=True, text=True, check=True)
    assert derived.stdout.split()[:2] == public
    assert "made" in {row["Name"] for row in client.ask("keypair", "list")}
    client.openstack("keypair", "delete", "made")
    assert "made" in client.refused("keypair", "show", "made")


@pytest.mark.parametrize(("kind", "options"), [("ed25519", ()), ("rsa", ("-b", "2048"))])
def test_from_a_public_key(client: UserCloud, tmp_path: Path, kind: str, options: tuple[str, ...]) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *options, "-N", "", "-C", "me@here", "-f", path], check=True)
    public = path.with_suffix(".pub")
    made = client.ask("keypair", "create", "--public-key", str(public), "brought")
    fingerprint = subprocess.run(
        ["ssh-keygen", "-l", "-E", "md5", "-f", public], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    assert f"MD5:{made['fingerprint']}" == fingerprint
    assert not made.get("private_key")
    said = client.refused("keypair", "create", "--public-key", str(public), "brought")
    assert "already exists" in said, said
    assert client.openstack("keypair", "show", "--public-key", "brought").split()[:2] == public.read_text().split()[:2]
    client.openstack("keypair", "delete", "brought")
    assert "brought" not in {row["Name"] for row in client.ask("keypair", "list")}


def test_what_is_no_key_is_refused(client: UserCloud, tmp_path: Path) -> None:
    path = tmp_path / "nonsense.pub"
    path.write_text("this is not a key\n")
    said = client.refused("keypair", "create", "--public-key", str(path), "nonsense")
    assert "400" in said or "invalid" in said.lower(), said
