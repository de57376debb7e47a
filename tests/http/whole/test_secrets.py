"""Canaries in every secret input: none is ever in a log, and none in clear in what is kept on disk."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http.whole.bodies import PUBLIC_KEY
from tests.http.whole.simulated import COMPUTE, IDENTITY, IMAGE, NETWORK, TOKENS, Login, SimulatedCloud, password_body

CANARY = "cAnArY"


@pytest.fixture(scope="module")
def aviary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SimulatedCloud, dict[str, str]]]:
    """A cloud of its own with every secret said to it, rightly and wrongly, and the secrets by what they are."""
    cloud = SimulatedCloud(Path(tmp_path_factory.mktemp("aviary")), "aviary")
    cloud.up()
    said = _say_everything(cloud)
    cloud.kilostack("down", "--name", cloud.name)
    cloud.up()
    yield cloud, said
    cloud.down("--wipe")


def _say_everything(cloud: SimulatedCloud) -> dict[str, str]:
    admin = cloud.log_in("admin")
    said = {f"password of {user}": password for user, password in cloud.passwords().items()}
    said |= {"password": f"{CANARY}-password", "changed password": f"{CANARY}-changed"}
    user = {"name": "bird", "password": said["password"], "domain_id": "default"}
    bird_id = admin.make(f"{IDENTITY}/users", {"user": user})["id"]
    roles = {role["name"]: role["id"] for role in admin.get(f"{IDENTITY}/roles")["roles"]}
    demo = cloud.log_in("demo")
    admin.ask("PUT", f"{IDENTITY}/projects/{demo.project_id}/users/{bird_id}/roles/{roles['member']}")
    bird = cloud.log_in("bird", said["password"], project="demo")
    said |= {"token of admin": admin.token, "token of demo": demo.token, "token of bird": bird.token}
    changed = {"password": said["changed password"], "original_password": said["password"]}
    assert cloud.ask("POST", f"{IDENTITY}/users/{bird_id}/password", {"user": changed}).status == 204
    bird = cloud.log_in("bird", said["changed password"], project="demo")
    said["second token of bird"] = bird.token
    said |= _say_credentials(bird)
    said |= _say_keys(admin, bird)
    said |= _say_wrong_things(cloud, bird)
    return said | _say_compute(bird)


def _say_credentials(bird: Login) -> dict[str, str]:
    said = {"application secret": f"{CANARY}-application"}
    path = f"{IDENTITY}/users/{bird.user_id}/application_credentials"
    made = bird.make(path, {"application_credential": {"name": "a", "secret": said["application secret"]}})
    said["generated application secret"] = bird.make(path, {"application_credential": {"name": "b"}})["secret"]
    shown = {"id": made["id"], "secret": said["application secret"]}
    identity = {"methods": ["application_credential"], "application_credential": shown}
    answer = bird.cloud.ask("POST", TOKENS, {"auth": {"identity": identity}})
    assert answer.status == 201, answer
    return said | {"token of an application": answer.headers["x-subject-token"]}


def _say_keys(admin: Login, bird: Login) -> dict[str, str]:
    """Key pairs, seeds of passcodes, and the secrets of consumers; each used wrongly, too."""
    said = {"seed": base64.b32encode(f"{CANARY}-seed-of-passcodes".encode()).decode(), "blob": f"{CANARY}-blob"}
    path = f"{IDENTITY}/users/{bird.user_id}/credentials/OS-EC2"
    pair = bird.make(path, {"tenant_id": bird.project_id})
    for kind, blob in (("totp", said["seed"]), ("cert", said["blob"])):
        document = {"type": kind, "blob": blob, "user_id": bird.user_id}
        bird.make(f"{IDENTITY}/credentials", {"credential": document})
        assert bird.ask("POST", f"{IDENTITY}/credentials", {"credential": document | {"type": [blob]}}).status == 400
    consumer = admin.make(f"{IDENTITY}/OS-OAUTH1/consumers", {"consumer": {"description": "c"}})
    signed = {"access": pair["access"], "signature": pair["secret"], "token": pair["secret"]}
    assert admin.ask("POST", f"{IDENTITY}/s3tokens", {"credentials": signed}).status == 401
    assert admin.ask("POST", f"{IDENTITY}/ec2tokens", {"credentials": pair["secret"]}).status >= 400
    shown = {"user": {"id": bird.user_id, "passcode": said["seed"]}}
    auth = {"identity": {"methods": ["totp"], "totp": shown}}
    assert bird.cloud.ask("POST", TOKENS, {"auth": auth}).status == 401
    return said | {"secret of a key pair": pair["secret"], "secret of a consumer": consumer["secret"]}


def _say_wrong_things(cloud: SimulatedCloud, bird: Login) -> dict[str, str]:
    """Secrets in requests that are refused: in wrong places, of wrong types, in broken bodies."""
    wrong = f"{CANARY}-wrong"
    bodies: list[Any] = [
        password_body("bird", wrong, "demo"),
        password_body("bird", [wrong], "demo"),
        password_body(wrong, {"x": wrong}, wrong),
        {"auth": {"identity": {"methods": [wrong], wrong: wrong}}},
        {"auth": {"identity": {"methods": ["token"], "token": {"id": wrong}}}},
        {"auth": wrong},
        f'{{"auth": "{wrong}'.encode(),
        b"\xff" + wrong.encode(),
    ]
    for body in bodies:
        assert cloud.ask("POST", TOKENS, body).status in (400, 401, 404)
    for method, path in (
        ("POST", f"{COMPUTE}/servers"),
        ("POST", f"{IDENTITY}/users"),
        ("PATCH", f"{IDENTITY}/users/x"),
    ):
        for body in ({"user": {"name": 5, "password": wrong}}, {"server": {"adminPass": [wrong]}}, wrong.encode()):
            assert bird.ask(method, path, body).status >= 400
    assert cloud.ask("GET", f"{COMPUTE}/servers?token={wrong}", token=wrong).status == 401
    assert bird.ask("GET", TOKENS, headers={"X-Subject-Token": wrong}).status in (401, 404)
    assert cloud.ask("GET", f"{IMAGE}/images?password={wrong}", headers={"Authorization": wrong}).status == 401
    return {"something in a wrong request": wrong}


def _say_compute(bird: Login) -> dict[str, str]:
    data = base64.b64encode(f"#!/bin/sh\necho {CANARY}-user-data\n".encode()).decode()
    key = bird.make(f"{COMPUTE}/os-keypairs", {"keypair": {"name": "generated"}}, version="2.1")
    bird.make(f"{COMPUTE}/os-keypairs", {"keypair": {"name": "own", "public_key": PUBLIC_KEY}})
    private = [line for line in key["private_key"].splitlines() if not line.startswith("-----")]
    pass_word = f"{CANARY}-admin-pass"
    made = bird.server("s", user_data=data, adminPass=pass_word, key_name="generated")
    assert bird.ask("POST", f"{COMPUTE}/servers/{made['id']}/action", {"reboot": {"type": "HARD"}}).status == 202
    bird.server_is(made["id"], "ACTIVE")
    too_big = {"name": "big", "flavorRef": bird.flavor("m1.tiny"), "imageRef": bird.image(), "networks": "none"}
    assert bird.ask("POST", f"{COMPUTE}/servers", {"server": too_big | {"user_data": data * 5000}}).status == 400
    assert bird.ask("GET", f"{NETWORK}/ports").status == 200
    return {"user data": f"{CANARY}-user-data", "coded user data": data[:60], "key": private[1], "adminPass": pass_word}


def test_no_log_has_a_secret(aviary: tuple[SimulatedCloud, dict[str, str]]) -> None:
    cloud, said = aviary
    log = cloud.log()
    assert "/identity/v3/auth/tokens" in log
    assert not [what for what, secret in said.items() if secret in log]
    for file in (cloud.state_dir / "master.key", cloud.state_dir / "passwords.json"):
        assert file.read_bytes().hex() not in log
    metrics = cloud.ask("GET", "/metrics").body.decode()
    assert not [what for what, secret in said.items() if secret in metrics]


def test_what_is_kept_has_no_secret_in_clear(aviary: tuple[SimulatedCloud, dict[str, str]]) -> None:
    cloud, said = aviary
    # user data is not kept from the hosts, which hand it to guests
    kept = {what: secret for what, secret in said.items() if "user data" not in what}
    found: list[tuple[str, str]] = []
    is_seen = False
    for file in cloud.state_dir.rglob("*"):
        if file.is_file() and file.name not in ("passwords.json", "clients.json"):
            raw = file.read_bytes()
            is_seen = is_seen or said["coded user data"].encode() in raw
            found += [(file.name, what) for what, secret in kept.items() if secret.encode() in raw]
    assert not found
    # the search finds what is there
    assert is_seen


def test_nothing_that_is_kept_is_for_other_eyes(aviary: tuple[SimulatedCloud, dict[str, str]]) -> None:
    cloud, _ = aviary
    assert stat.S_IMODE(cloud.state_dir.stat().st_mode) == 0o700
    for path in cloud.state_dir.rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        # a directory of 0700 keeps the rest
        inside = path.parent if path.parent != cloud.state_dir else path
        assert not stat.S_IMODE(inside.lstat().st_mode) & 0o077, (path, oct(mode))
    for name in ("clouds.yaml", f"{cloud.name}-openrc", f"{cloud.name}-admin-openrc"):
        assert stat.S_IMODE((cloud.home / ".config/openstack" / name).stat().st_mode) == 0o600


def test_no_process_shows_a_secret(aviary: tuple[SimulatedCloud, dict[str, str]]) -> None:
    cloud, said = aviary
    for row in cloud.status():
        for what in ("cmdline", "environ"):
            shown = (Path("/proc") / str(row["pid"]) / what).read_bytes().decode(errors="replace")
            assert not [name for name, secret in said.items() if secret in shown]
    assert os.environ.get("OS_PASSWORD") is None


def test_what_a_person_is_shown_of_a_secret(aviary: tuple[SimulatedCloud, dict[str, str]]) -> None:
    cloud, said = aviary
    bird = cloud.log_in("bird", said["changed password"], project="demo")
    admin = cloud.log_in("admin")
    server = bird.get(f"{COMPUTE}/servers")["servers"][0]["id"]
    secrets = {what: secret for what, secret in said.items() if "user data" not in what}
    for who, path in (
        (bird, f"{COMPUTE}/servers/{server}"),
        (bird, f"{COMPUTE}/servers/{server}/os-instance-actions"),
        (bird, f"/kilostack/v1/servers/{server}/why"),
        (admin, f"/kilostack/v1/servers/{server}/why"),
        (bird, f"{COMPUTE}/os-keypairs/generated"),
        (bird, f"{IDENTITY}/users/{bird.user_id}/application_credentials"),
        (admin, f"{IDENTITY}/users/{bird.user_id}"),
        (admin, f"{IDENTITY}/users"),
        (admin, f"{COMPUTE}/servers/detail?all_tenants=1"),
    ):
        text = who.ask("GET", path).body.decode()
        assert not [what for what, secret in secrets.items() if secret in text], path
        assert "password_hash" not in text and "secret" not in text, path
    why = bird.ask("GET", f"/kilostack/v1/servers/{server}/why").body.decode()
    assert CANARY not in why
