"""`kilostack down`: stop everything; with `--wipe`, remove everything that the cloud ever made."""

from __future__ import annotations

import argparse
import os
import sys

from kilostack.cli import client_files, launch, state
from kilostack.cli.failure import Failure
from kilostack.cli.owner import Owner, assume, who_typed
from kilostack.cli.program import Program
from kilostack.cli.supervisor.control import DOWN_TIMEOUT_S, ask
from kilostack.core.settings import Settings


def run(args: argparse.Namespace, program: Program) -> int:
    """Stop the cloud that the arguments mean; one that does not run is stopped already."""
    owner = who_typed(os.environ)
    assume(owner)
    if state.find(args, owner) is None:
        return _nothing(args, owner)
    with state.locked(state.where(args, owner)):
        settings = state.find(args, owner)
        if settings is None:
            return _nothing(args, owner)
        was_running = _stop(settings, owner, program, args.wipe)
        if args.wipe:
            _wipe(settings, owner)
    if args.wipe:
        print(f"Cloud {settings.name} is gone with all that it made.")
    else:
        print(f"Cloud {settings.name} {'is down' if was_running else 'was not running'}.")
    return 0


def _nothing(args: argparse.Namespace, owner: Owner) -> int:
    if args.wipe and args.state_dir and state.where(args, owner).exists():
        raise Failure(f"{state.where(args, owner)} holds no cloud", "Nothing was removed.")
    print("There is no such cloud.")
    return 0


def _stop(settings: Settings, owner: Owner, program: Program, wipe: bool) -> bool:
    """Whether a supervisor was there to do it."""
    problems: list[str] | None = None
    try:
        for answer in ask(settings.run.supervisor_socket, {"do": "down", "wipe": wipe}, DOWN_TIMEOUT_S):
            if "say" in answer:
                print(answer["say"], flush=True)
            problems = answer.get("problems", problems)
    except ConnectionError:
        if wipe or _has_leftovers(settings, program):
            launch.supervise(settings, owner, program, "--only-down", *(["--wipe"] if wipe else []))
        return False
    if problems is None:
        raise Failure("the supervisor ended before it was done", "Run `kilostack down` again.")
    if problems:
        raise Failure("\n".join(problems))
    return True


def _has_leftovers(settings: Settings, program: Program) -> bool:
    """Whether a supervisor that was killed left something that runs."""
    if settings.run_dir.exists():
        return True
    return not settings.simulate and program.fabric(settings).is_present()


def _wipe(settings: Settings, owner: Owner) -> None:
    try:
        client_files.remove(settings, client_files.config_dir(owner, os.environ))
    except client_files.NotWritten as problem:
        print(f"kilostack: {problem}; its entries of cloud {settings.name} stay", file=sys.stderr)
    left = state.remove(settings)
    if left:
        raise Failure("could not remove " + ", ".join(left))
