"""`kilostack policy`: who may do what, by our own rules or with a file of an operator laid over them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from kilostack.assembly import policies
from kilostack.cli.failure import Failure
from kilostack.cli.output import show
from kilostack.cli.program import Program
from kilostack.core.policy import Policy, PolicyError
from kilostack.core.policy_personas import PERSONAS, reach


def run(args: argparse.Namespace, program: Program) -> int:
    """Print the rules, the table of who may do what, or whether the file can be used."""
    if args.action == "check":
        if args.file is None:
            raise Failure("which file?", f"kilostack policy check {args.service} FILE")
        found = check_files({args.service: Path(args.file)})[args.service]
        print(f"{args.file}: {len(found)} rule{'' if len(found) == 1 else 's'}, and {args.service} can use them")
        return 0
    overrides = check_files({args.service: Path(args.file)})[args.service] if args.file else {}
    rules = policies.RULES[args.service]
    policy = Policy(rules, overrides)
    if args.action == "list":
        named = {rule.name for rule in rules} | set(overrides)
        rows = [
            {"rule": name, "scopes": sorted(policy.scopes(name)), "check": policy.text(name)} for name in sorted(named)
        ]
        show(rows, ("rule", "scopes", "check"), args.format)
        return 0
    table = [
        {"rule": rule.name, **{one.name: reach(policy, rule.name, one) or None for one in PERSONAS}}
        for rule in policies.operations(rules)
    ]
    show(table, ("rule", *(persona.name for persona in PERSONAS)), args.format)
    return 0


def check_files(files: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """The rules in the files, by service. A `Failure` says what is wrong with them, and where."""
    for service in files:
        if service not in policies.RULES:
            raise Failure(f"no service {service!r} has rules", f"These have: {', '.join(policies.RULES)}.")
    try:
        return policies.load(files)
    except PolicyError as error:
        raise Failure(str(error), "`kilostack policy list SERVICE` shows the rules there are.") from None
