"""A cloud that is nothing but its frame: the real command line over a control plane and agents that do no work.

Run as a program it takes the arguments of `kilostack`. Files in the state directory say how the parts should misbehave:
`die` (the control plane ends at once), `stubborn` (an agent takes no notice of its first drain).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from types import FrameType

from kilostack.cli.failure import Failure
from kilostack.cli.main import main
from kilostack.cli.program import Program
from kilostack.core.settings import Settings, load


class StandInFabric:
    """Namespaces that are those of the machine itself; what was asked for is written to `fabric` in the state."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = settings.state_dir / "fabric"

    def public_cidr(self) -> str:
        if self._settings.public_cidr == "10.0.0.0/8":
            raise Failure("10.0.0.0/8 overlaps a route of this machine")
        return self._settings.public_cidr or "172.24.4.0/24"

    def ensure(self) -> None:
        with self._file.open("a") as file:
            file.write("ensure\n")

    def remove(self) -> None:
        self._file.unlink(missing_ok=True)

    def is_present(self) -> bool:
        return self._file.exists()

    def namespace(self, host: str) -> Path:
        return Path("/proc/self/ns/net")

    def address(self, host: str) -> str:
        return "192.0.2." + host.rpartition("-")[2]


def serve(settings: Settings) -> None:
    """Answer /readyz like a control plane."""
    note(settings, "serve")
    if (settings.state_dir / "die").exists():
        print("stand-in: told to die", file=sys.stderr)
        sys.exit(7)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"{}"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            print(json.dumps({"message": "request"}), flush=True)

    class Server(ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", settings.port), Handler) as server:
        server.serve_forever()


def agent(settings: Settings, host: str) -> None:
    """Wait; a drain is noted and ends it."""
    note(settings, host)

    def drain(_: int, __: FrameType | None) -> None:
        stubborn = settings.state_dir / "stubborn"
        if stubborn.exists():
            stubborn.unlink()
            sys.exit(9)
        note(settings, f"{host} drained")
        sys.exit(0)

    signal.signal(signal.SIGUSR1, drain)
    time.sleep(0.2)  # so that a drain finds it not listening yet
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    while True:
        signal.pause()


def note(settings: Settings, text: str) -> None:
    """Keep a line of what ran, with which rights."""
    caps = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "CapBnd" in line)
    line = {"what": text, "pid": os.getpid(), "uid": os.getuid(), "caps": caps, "env": sorted(os.environ)}
    with (settings.state_dir / "ran").open("a") as file:
        file.write(json.dumps(line) + "\n")
        if os.fstat(file.fileno()).st_uid == os.getuid():
            os.fchmod(file.fileno(), 0o666)


if __name__ == "__main__":
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "serve":
        serve(load(Path(sys.argv[sys.argv.index("--state-dir") + 1])))
    elif command == "agent":
        agent(load(Path(sys.argv[sys.argv.index("--state-dir") + 1])), sys.argv[2])
    else:
        sys.exit(main(program=Program((sys.executable, "-I", os.path.abspath(__file__)), StandInFabric)))
