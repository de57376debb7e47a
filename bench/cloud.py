"""A cloud for measuring: started by the command line as a user would, spoken to by plain HTTP."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

KILOSTACK = str(Path(sys.executable).parent / "kilostack")


class Cloud:
    """One cloud in a HOME of its own. `options` go to `kilostack up`."""

    def __init__(self, name: str, port: int, *options: str) -> None:
        self.name, self.port, self.options = name, port, options
        self.home = Path(tempfile.mkdtemp(prefix="kilostack-bench-"))
        self.environment = {**os.environ, "HOME": str(self.home)}
        for variable in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
            self.environment.pop(variable, None)
        cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        self.environment["XDG_CACHE_HOME"] = cache
        self.token = ""
        self._connection: http.client.HTTPConnection | None = None

    def command(self, *arguments: str) -> float:
        """Run `kilostack ...`; the seconds that it took."""
        started = time.monotonic()
        subprocess.run(
            [KILOSTACK, *arguments], check=True, env=self.environment, stdout=subprocess.DEVNULL, timeout=300
        )
        return time.monotonic() - started

    def start(self) -> subprocess.Popen[bytes]:
        """Begin `kilostack up`, without waiting for it."""
        command = [KILOSTACK, "up", "--name", self.name, "--port", str(self.port), *self.options]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL)

    def up(self) -> float:
        return self.command("up", "--name", self.name, "--port", str(self.port), *self.options)

    def down(self, *options: str) -> float:
        self._connection = None
        return self.command("down", "--name", self.name, *options)

    def answers(self) -> bool:
        """Whether a request that needs no token is answered."""
        try:
            return self.call("GET", "/identity/v3", token=False)[0] == 200
        except OSError:
            return False

    def wait(self, what: str, holds: Any, deadline_s: float = 120.0) -> float:
        """Until `holds()`; the time on the monotonic clock when it did."""
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            if holds():
                return time.monotonic()
            time.sleep(0.005)
        raise TimeoutError(what)

    def login(self, user: str = "") -> None:
        """Get a token for the project's member, or as NAME-admin with "-admin"."""
        file = self.home / ".config/openstack/clouds.yaml"
        auth = yaml.safe_load(file.read_text())["clouds"][self.name + user]["auth"]
        domain = {"name": "Default"}
        password = {"user": {"name": auth["username"], "password": auth["password"], "domain": domain}}
        scope = {"project": {"name": auth["project_name"], "domain": domain}}
        body = {"auth": {"identity": {"methods": ["password"], "password": password}, "scope": scope}}
        status, headers, answer = self._request("POST", "/identity/v3/auth/tokens", body, {})
        if status != 201:
            raise RuntimeError(f"login answered {status}: {answer!r}")
        self.token = headers["x-subject-token"]

    def call(
        self, method: str, path: str, body: Any = None, *, token: bool = True, subject: str = ""
    ) -> tuple[int, Any]:
        """The status and the body. `subject` is a token that is looked at."""
        headers = {"X-Auth-Token": self.token} if token else {}
        if subject:
            headers["X-Subject-Token"] = subject
        headers["OpenStack-API-Version"] = "compute 2.96"
        status, _, answer = self._request(method, path, body, headers)
        return status, json.loads(answer) if answer else None

    def _request(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        raw = None if body is None else json.dumps(body)
        connection = self._connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        # kept for the next request, as clients do; one that failed is not used again
        self._connection = None
        connection.request(method, path, raw, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        text = answer.read()
        self._connection = connection
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, text

    def processes(self) -> dict[int, str]:
        """Our processes of this cloud (guests and their helpers left out): pid -> role."""
        command = [KILOSTACK, "status", "--name", self.name, "-f", "json"]
        text = subprocess.run(command, check=True, env=self.environment, capture_output=True).stdout
        return {entry["pid"]: entry["role"] for entry in json.loads(text) if entry["pid"]}

    def cpu_seconds(self) -> float:
        """CPU time of our processes so far."""
        ticks = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def pss_mib(self) -> float:
        """Memory of our processes, shared pages divided among those that share them."""
        total = 0
        for pid in self.processes():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total / 1024

    def first(self, path: str, key: str, name: str) -> str:
        """The id of the thing with that name in a list."""
        _, answer = self.call("GET", path)
        return str(next(item["id"] for item in answer[key] if item["name"] == name))

    def create_body(self, name: str) -> dict[str, Any]:
        """A server with one port in `private`."""
        return {
            "server": {
                "name": name,
                "flavorRef": self.first("/compute/v2.1/flavors", "flavors", "m1.tiny"),
                "imageRef": self.first("/image/v2/images", "images", "tiny"),
                "networks": [{"uuid": self.first("/network/v2.0/networks", "networks", "private")}],
            }
        }

    def is_active(self, server_id: str) -> bool:
        _, answer = self.call("GET", f"/compute/v2.1/servers/{server_id}")
        if answer["server"]["status"] == "ERROR":
            raise RuntimeError(f"server in ERROR: {answer['server'].get('fault')}")
        return bool(answer["server"]["status"] == "ACTIVE")
