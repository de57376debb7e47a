"""`kilostack serve` and `kilostack agent`: the processes that the supervisor starts, in the foreground."""

from __future__ import annotations

import argparse
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

from kilostack.cli import state
from kilostack.cli.failure import Failure
from kilostack.cli.owner import who_typed
from kilostack.cli.program import Program


def run(args: argparse.Namespace, program: Program) -> int:
    """Be that process until it is told to end."""
    settings = state.find(args, who_typed(os.environ))
    if settings is None:
        raise Failure("there is no such cloud", "Start one with `kilostack up`.")
    if args.command == "serve":
        with _lasting():
            from kilostack.assembly.control_plane import main as serve

        serve(settings)
        return 0
    if args.host not in settings.host_names():
        raise Failure(f"cloud {settings.name} has no host {args.host}", f"It has {', '.join(settings.host_names())}.")
    with _lasting():
        from kilostack.assembly.host import main as be_agent

    be_agent(settings, args.host)
    return 0


@contextmanager
def _lasting() -> Iterator[None]:
    """Spare the garbage collector what is made here. Modules stay for good, and looking through them takes 0.1 s of a
    start, and longer than a request may wait whenever the collector comes to them later."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()
