"""Running the machine's network tools, in this process's network namespace or in a named one.

Batches of `ip` and `bridge` and one `nft -f` instead of a netlink library: a batch of 100 lines takes a few
milliseconds, needs no memory between uses, and is text that a pure function can make and a test can read.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NETNS_DIR = Path("/run/netns")

_CLONE_NEWNET = 0x40000000
_TIMEOUT_S = 30
#: The tools live where an agent's own PATH may not look.
_ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin", "LC_ALL": "C"}


class CommandFailed(Exception):
    """A tool said no; the text is what it said."""


def _setns(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextmanager
def entered(namespace: str | None) -> Iterator[None]:
    """This thread is in the network namespace `namespace` within the block, with the sockets and the processes that
    it makes there, and sees its /proc/sys/net; None stays. Call it in a thread that runs nothing else meanwhile."""
    if namespace is None:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(NETNS_DIR / namespace, os.O_RDONLY)
        try:
            _setns(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def run(argv: Sequence[str], *, stdin: str = "", namespace: str | None = None) -> str:
    """What `argv` prints. Raises `CommandFailed` when it ends badly or cannot be started."""
    try:
        with entered(namespace):
            done = subprocess.run(
                argv, input=stdin, capture_output=True, text=True, timeout=_TIMEOUT_S, env=_ENV, check=False
            )
    except FileNotFoundError as error:
        raise CommandFailed(f"{argv[0]}: {error.strerror} ({error.filename})") from None
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"{argv[0]} did not end within {_TIMEOUT_S} s") from None
    if done.returncode != 0:
        raise CommandFailed(f"{' '.join(argv)}: {_first_lines(done.stderr) or f'ended with {done.returncode}'}")
    return done.stdout


def _first_lines(text: str) -> str:
    return " / ".join(line.strip() for line in text.splitlines()[:3])


def ask(argv: Sequence[str], *, namespace: str | None = None) -> list[dict[str, Any]]:
    """The JSON list that `ip -j` or `bridge -j` prints; it prints nothing at all for an empty one."""
    text = run(argv, namespace=namespace).strip()
    return [item for item in json.loads(text) if item] if text else []


def is_true(argv: Sequence[str], *, namespace: str | None = None) -> bool:
    """Whether `argv` ends well; for questions that a tool answers by its exit code."""
    try:
        run(argv, namespace=namespace)
    except CommandFailed:
        return False
    return True


def batch(tool: str, lines: Sequence[str], *, namespace: str | None = None, go_on: bool = False) -> None:
    """Hand `lines` to one `ip` or `bridge`. It stops at the first line that fails, unless told to `go_on`."""
    if lines:
        force = ("-force",) if go_on else ()
        run((tool, *force, "-batch", "-"), stdin="\n".join(lines) + "\n", namespace=namespace)


def nft(rules: str, *, namespace: str | None = None) -> None:
    """Load `rules` in one transaction: all of them or none."""
    run(("nft", "-f", "-"), stdin=rules, namespace=namespace)


def namespaces() -> frozenset[str]:
    """The names of all network namespaces of the machine."""
    try:
        return frozenset(os.listdir(NETNS_DIR))
    except FileNotFoundError:
        return frozenset()


def set_sysctls(values: dict[str, str], *, namespace: str | None = None) -> None:
    """Write those of `values` (path below /proc/sys: value) that differ. One that this kernel does not have, as all of
    IPv6 where it is switched off, is passed over."""
    with entered(namespace):
        for path, value in values.items():
            file = Path("/proc/sys") / path
            if not file.exists():
                continue
            if file.read_text(encoding="ascii").strip() != value:
                file.write_text(value, encoding="ascii")
