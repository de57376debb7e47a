"""A real radosgw that asks our identity service who its users are: Swift by token, S3 by signature."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.whole.simulated import IDENTITY, Login, SimulatedCloud
from tests.system.ceph import Ceph, ceph, missing

_CLIENTS = ("s3cmd", "swift")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SimulatedCloud, Ceph]]:
    """A cloud, and a gateway whose own user there is a service and no administrator."""
    if lacking := [*missing(), *(name for name in _CLIENTS if shutil.which(name) is None)]:
        pytest.skip(f"not installed: {', '.join(lacking)} (tools/packages install system)")
    cloud = SimulatedCloud(tmp_path_factory.mktemp("home"), "gateway")
    cloud.up()
    try:
        cloud.new_project("rgw", "service")
        with ceph() as cluster:
            cluster.gateway(
                {
                    "rgw_keystone_url": f"http://127.0.0.1:{cloud.port}/identity",
                    "rgw_keystone_api_version": "3",
                    "rgw_keystone_admin_user": "rgw",
                    "rgw_keystone_admin_password": "rgw-password",
                    "rgw_keystone_admin_project": "rgw",
                    "rgw_keystone_admin_domain": "Default",
                    "rgw_keystone_accepted_roles": "member,admin",
                    "rgw_keystone_implicit_tenants": "true",
                    "rgw_s3_auth_use_keystone": "true",
                    "rgw_swift_account_in_url": "true",
                }
            )
            _announce(cloud, cluster)
            yield cloud, cluster
    finally:
        cloud.down("--wipe")


def _announce(cloud: SimulatedCloud, cluster: Ceph) -> None:
    admin = cloud.log_in("admin")
    service = admin.make(f"{IDENTITY}/services", {"service": {"type": "object-store", "name": "swift"}})
    url = f"{cluster.url}/swift/v1/AUTH_%(project_id)s"
    endpoint = {"service_id": service["id"], "interface": "public", "url": url, "region_id": "RegionOne"}
    admin.make(f"{IDENTITY}/endpoints", {"endpoint": endpoint})


class S3:
    """s3cmd with one key pair, signing in the old way or in the new one."""

    def __init__(self, cluster: Ceph, home: Path, pair: dict[str, str], *, old: bool) -> None:
        host = cluster.url.removeprefix("http://")
        self._config = home / f"s3-{pair['access']}-{old}"
        self._config.write_text(
            f"[default]\naccess_key = {pair['access']}\nsecret_key = {pair['secret']}\nhost_base = {host}\n"
            f"host_bucket = {host}\nuse_https = False\nsignature_v2 = {old}\nbucket_location = default\n"
        )

    def type(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = ("s3cmd", "-c", str(self._config), *words)
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def _pair(person: Login) -> dict[str, str]:
    path = f"{IDENTITY}/users/{person.user_id}/credentials/OS-EC2"
    made: dict[str, str] = person.make(path, {"tenant_id": person.project_id})
    return made


@pytest.mark.parametrize("old", [False, True], ids=["version-four", "version-two"])
def test_s3_by_key_pair(site: tuple[SimulatedCloud, Ceph], tmp_path: Path, old: bool) -> None:
    cloud, cluster = site
    person = cloud.log_in("demo")
    pair = _pair(person)
    user, bucket = S3(cluster, tmp_path, pair, old=old), f"s3://bucket-{str(old).lower()}"
    (tmp_path / "file").write_text("contents")
    for words in (("mb", bucket), ("put", str(tmp_path / "file"), f"{bucket}/object")):
        done = user.type(*words)
        assert done.returncode == 0, done.stderr
    assert f"{bucket}/object" in user.type("ls", bucket).stdout
    assert user.type("get", f"{bucket}/object", str(tmp_path / "got")).returncode == 0
    assert (tmp_path / "got").read_text() == "contents"

    wrong = S3(cluster, tmp_path, pair | {"secret": "0" * 32}, old=old).type("ls")
    assert wrong.returncode != 0
    assert "403" in wrong.stderr
    unknown = S3(cluster, tmp_path, pair | {"access": "0" * 32}, old=old).type("ls")
    assert unknown.returncode != 0


def test_a_pair_that_was_removed_signs_nothing(site: tuple[SimulatedCloud, Ceph], tmp_path: Path) -> None:
    cloud, cluster = site
    person = cloud.new_project("leaver", "member")
    pair = _pair(person)
    user = S3(cluster, tmp_path, pair, old=False)
    assert user.type("ls").returncode == 0
    person.remove(f"{IDENTITY}/users/{person.user_id}/credentials/OS-EC2/{pair['access']}")
    assert user.type("ls").returncode != 0


def test_a_reader_of_the_project_is_nobody_to_it(site: tuple[SimulatedCloud, Ceph], tmp_path: Path) -> None:
    """The gateway takes members and administrators."""
    cloud, cluster = site
    person = cloud.new_project("onlooker", "reader")
    admin = cloud.log_in("admin")
    path = f"{IDENTITY}/users/{person.user_id}/credentials/OS-EC2"
    pair: dict[str, str] = admin.make(path, {"tenant_id": person.project_id})
    assert S3(cluster, tmp_path, pair, old=False).type("ls").returncode != 0


def _swift(cloud: SimulatedCloud, password: str, *words: str) -> subprocess.CompletedProcess[str]:
    argv = (
        *("swift", "--auth-version", "3", "--os-auth-url", f"http://127.0.0.1:{cloud.port}/identity/v3"),
        *("--os-username", "demo", "--os-password", password, "--os-project-name", "demo"),
        *("--os-user-domain-name", "Default", "--os-project-domain-name", "Default"),
    )
    return subprocess.run([*argv, *words], capture_output=True, text=True, timeout=60, check=False)


def test_swift_by_token(site: tuple[SimulatedCloud, Ceph], tmp_path: Path) -> None:
    cloud, _ = site
    password = cloud.passwords()["demo"]
    (tmp_path / "file").write_text("contents")
    for words in (("post", "things"), ("upload", "--object-name", "object", "things", str(tmp_path / "file"))):
        done = _swift(cloud, password, *words)
        assert done.returncode == 0, done.stderr
    assert _swift(cloud, password, "list", "things").stdout.split() == ["object"]
    done = _swift(cloud, password, "download", "things", "object", "-o", "-")
    assert done.stdout == "contents", done.stderr
    assert _swift(cloud, "wrong", "list").returncode != 0
