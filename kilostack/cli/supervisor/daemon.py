"""Leaving the terminal: what runs afterwards shares no session, no directory and no descriptor with who started it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection

Work = Callable[[Callable[[str], None]], None]


def detach(work: Work, keep: Collection[int]) -> str:
    """Run `work` in a process of its own; returns the text that it reports: empty when all is well.

    `work` is called with the function to report by, once. `keep` are the only descriptors that stay open.
    """
    reader, writer = os.pipe()
    first = os.fork()
    if first == 0:
        _leave_terminal(work, {*keep, writer}, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        report = pipe.read()
    os.waitpid(first, 0)
    if not report:
        return "it ended before it had said anything; see log/supervisor.log in the state directory"
    return report.decode(errors="replace").strip()


def _leave_terminal(work: Work, keep: Collection[int], writer: int) -> None:
    """Never returns: the child ends here."""
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.chdir("/")
        os.umask(0o022)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        _close_all_but(keep)
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())

        def report(text: str) -> None:
            os.write(writer, (text + "\n").encode())
            os.close(writer)

        work(report)
    finally:
        os._exit(0)


def _close_all_but(keep: Collection[int]) -> None:
    low = 3
    for descriptor in sorted(keep):
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))
