"""`kilostack doctor`: what this machine lacks for a real cloud, and how to get it."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from pathlib import Path

from kilostack.cli import checks, cloud, kernel_checks, state
from kilostack.cli.checks import Finding
from kilostack.cli.output import show
from kilostack.cli.owner import as_root, assume, can_be_root, who_typed
from kilostack.cli.program import Program
from kilostack.core.settings import DEFAULT_PORT


def run(args: argparse.Namespace, program: Program) -> int:
    """Print every finding; the exit code is 1 when something is missing without which no real cloud can run."""
    owner = who_typed(os.environ)
    assume(owner)
    settings = state.find(args, owner)
    port = DEFAULT_PORT if settings is None else settings.port
    running = settings is not None and cloud.supervisor_status(settings) is not None
    system = checks.system(Path("/"))
    with as_root():
        findings = [
            *checks.about_system(system),
            *checks.about_tools(system),
            *checks.about_root(can_be_root()),
            *checks.about_room(state.where(args, owner)),
            checks.about_port(port, running),
            *(kernel_checks.all_of_them(system, can_be_root()) if system.is_linux else ()),
        ]
    show([asdict(finding) for finding in findings], ("check", "state", "found"), args.format)
    if args.format == "table":
        _advise(findings)
    return 1 if any(finding.state == "missing" for finding in findings) else 0


def _advise(findings: list[Finding]) -> None:
    advice = [finding for finding in findings if finding.remedy]
    for finding in advice:
        print(f"\n{finding.check}: {finding.remedy}")
    if any(finding.state == "missing" for finding in findings):
        print("\nA cloud with simulated guests and networks needs none of this: kilostack up --simulate")
    elif not advice:
        print("\nThis machine has all that a real cloud needs.")
