"""The least Ceph that a radosgw runs on: one monitor, one manager and one disk in memory, on this machine alone."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

DEADLINE_S = 90.0
PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-mgr", "ceph-osd", "monmaptool", "radosgw")

_CONF = """\
[global]
fsid = {fsid}
mon_host = v1:127.0.0.1:{port}
mon_initial_members = a
public_network = 127.0.0.0/8
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
run_dir = {root}
admin_socket = {root}/$name.asok
log_file = {root}/$name.log
crash_dir = {root}
ms_bind_msgr2 = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 400
mon_data_avail_crit = 1
[client]
keyring = {root}/keyring.$name
admin_socket =
[mon]
mon_data = {root}/mon
keyring = {root}/mon/keyring
[mgr]
mgr_data = {root}/mgr
keyring = {root}/keyring.$name
[osd]
osd_data = {root}/osd
keyring = {root}/osd/keyring
osd_objectstore = memstore
memstore_device_bytes = 1073741824
"""


def missing() -> list[str]:
    """The programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Ceph:
    """A cluster in a directory, with a radosgw at `url` that asks an identity service who its users are."""

    def __init__(self, root: Path) -> None:
        self.root, self.port = root, free_port()
        self.conf = root / "ceph.conf"
        self.conf.write_text(_CONF.format(fsid=uuid.uuid4(), port=self.port, root=root), encoding="utf-8")
        self._running: list[subprocess.Popen[bytes]] = []
        self.url = ""

    def start(self) -> None:
        for name in ("mon", "mgr", "osd"):
            (self.root / name).mkdir()
        admin, mon, monmap = self.root / "keyring.client.admin", self.root / "keyring.mon", self.root / "monmap"
        caps = [part for one in ("mon", "osd", "mds", "mgr") for part in ("--cap", one, "allow *")]
        self._run("ceph-authtool", "-C", str(mon), "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        self._run("ceph-authtool", "-C", str(admin), "--gen-key", "-n", "client.admin", *caps)
        self._run("ceph-authtool", str(mon), "--import-keyring", str(admin))
        fsid = self._run("ceph-conf", "-c", str(self.conf), "--lookup", "fsid").strip()
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v1:127.0.0.1:{self.port}]", str(monmap))
        self._run("ceph-mon", *self._c(), "--mkfs", "-i", "a", "--monmap", str(monmap), "--keyring", str(mon))
        self._spawn("ceph-mon", *self._c(), "-f", "-i", "a", "--public-addr", f"v1:127.0.0.1:{self.port}")
        self.ceph("quorum_status")
        self._keyring("mgr.a", "mon", "allow profile mgr", "osd", "allow *", "mds", "allow *")
        self._spawn("ceph-mgr", *self._c(), "-f", "-i", "a")
        self._disk()

    def _disk(self) -> None:
        made = str(uuid.uuid4())
        number = self.ceph("osd", "new", made).strip()
        self.ceph(
            "auth",
            "get-or-create",
            f"osd.{number}",
            "mon",
            "allow profile osd",
            "mgr",
            "allow profile osd",
            "osd",
            "allow *",
            "-o",
            str(self.root / "osd/keyring"),
        )
        self._run("ceph-osd", *self._c(), "-i", number, "--mkfs", "--osd-uuid", made)
        self._spawn("ceph-osd", *self._c(), "-f", "-i", number)
        self._until("the disk is up", lambda: "1 up" in self.ceph("osd", "stat"))

    def gateway(self, options: Mapping[str, str]) -> None:
        """Start the radosgw with these settings; returns when it answers."""
        port = free_port()
        self._keyring("client.rgw.a", "mon", "allow rw", "osd", "allow rwx", "mgr", "allow rw")
        given = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
        frontend = ("--rgw-frontends", f"beast endpoint=127.0.0.1:{port}", "--rgw-thread-pool-size", "16")
        self._spawn("radosgw", *self._c(), "-f", "-n", "client.rgw.a", *frontend, *given)
        self.url = f"http://127.0.0.1:{port}"
        self._until("radosgw answers", self._answers)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=2):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    def stop(self) -> None:
        for process in reversed(self._running):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def ceph(self, *words: str) -> str:
        return self._run("ceph", *self._c(), "--connect-timeout", "30", *words)

    def _c(self) -> tuple[str, str]:
        return "-c", str(self.conf)

    def _keyring(self, name: str, *caps: str) -> None:
        self.ceph("auth", "get-or-create", name, *caps, "-o", str(self.root / f"keyring.{name}"))

    def _run(self, *argv: str) -> str:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
        return done.stdout

    def _spawn(self, *argv: str) -> None:
        with open(self.root / f"{argv[0]}.out", "wb") as out:
            environment = {"PATH": os.environ["PATH"], "CEPH_CONF": str(self.conf)}
            self._running.append(subprocess.Popen(argv, stdout=out, stderr=out, env=environment))

    def _until(self, what: str, is_so: object) -> None:
        assert callable(is_so)
        deadline = time.monotonic() + DEADLINE_S
        while not is_so():
            assert time.monotonic() < deadline, f"not within {DEADLINE_S:.0f} s: {what}\n{self._outputs()}"
            time.sleep(0.2)

    def _outputs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-1000:] for path in self.root.glob("*.out"))


@contextmanager
def ceph() -> Iterator[Ceph]:
    """A cluster that is gone after the block; its sockets need a short path."""
    with tempfile.TemporaryDirectory(prefix="ks-ceph-", dir="/tmp") as root:
        made = Ceph(Path(root))
        try:
            made.start()
            yield made
        finally:
            made.stop()
