"""Entry of the command line: reads the arguments and runs the one command asked for.

`kilostack --help` must answer at once, so nothing is imported here that a command alone needs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from kilostack.cli.failure import Failure
from kilostack.cli.program import Program

#: Command -> the module whose `run(args, program)` does it.
COMMANDS = {
    "up": "kilostack.cli.up",
    "down": "kilostack.cli.down",
    "status": "kilostack.cli.status",
    "doctor": "kilostack.cli.doctor",
    "why": "kilostack.cli.why",
    "policy": "kilostack.cli.policy",
    "audit": "kilostack.cli.audit",
    "identity": "kilostack.cli.identity",
    "serve": "kilostack.cli.processes",
    "agent": "kilostack.cli.processes",
    "supervise": "kilostack.cli.supervise",
}


def main(argv: Sequence[str] | None = None, program: Program | None = None) -> int:
    """Run one command and return its exit code. `program` says how to start this program again."""
    args = _parser().parse_args(argv)
    try:
        code: int = import_module(COMMANDS[args.command]).run(args, program or Program())
    except Failure as failure:
        print(f"kilostack: {failure}", file=sys.stderr)
        return failure.code
    except KeyboardInterrupt:
        print("kilostack: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 141
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kilostack", description="An infrastructure cloud that speaks the OpenStack APIs, on this machine."
    )
    parser.add_argument("--version", action=_Version, help="print the version and leave")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_up(commands)
    down = commands.add_parser("down", help="stop the cloud, its guests by ACPI included")
    _add_where(down)
    down.add_argument("--wipe", action="store_true", help="then remove everything that the cloud ever made")
    status = commands.add_parser("status", help="list the processes of the cloud")
    _add_where(status)
    _add_format(status)
    doctor = commands.add_parser("doctor", help="say what this machine lacks, and how to get it")
    _add_where(doctor)
    _add_format(doctor)
    why = commands.add_parser("why", help="tell how a server came to be where it is, or why it failed")
    why.add_argument("server", metavar="SERVER", help="name or id")
    why.add_argument("--os-cloud", metavar="ENTRY", help="the clouds.yaml entry to ask with (default: $OS_CLOUD)")
    _add_where(why)
    _add_format(why)
    _add_policy(commands)
    _add_audit(commands)
    _add_identity(commands)
    _add_processes(commands)
    return parser


def _add_up(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    up = commands.add_parser(
        "up",
        help="start the cloud, or what is missing of it",
        description="Start the cloud and return when it answers. Options are remembered: a later plain `up` uses them.",
    )
    _add_where(up)
    up.add_argument("--port", type=int, metavar="P", help="port of the APIs on 127.0.0.1 (default: 9640)")
    up.add_argument("--hosts", type=int, metavar="N", help="number of hosts (default: 1)")
    up.add_argument("--public-cidr", metavar="CIDR", help="range of network `public` (default: follows from the name)")
    up.add_argument("--image", metavar="FILE", help="qcow2 file for image `tiny` (default: the built one)")
    up.add_argument(
        "--policy",
        action="append",
        metavar="SERVICE=FILE",
        help="rules of who may do what, in oslo.policy's format; an empty FILE goes back to our own",
    )
    up.add_argument(
        "--config", metavar="FILE", help="settings of the services, as TOML; an empty FILE goes back to the defaults"
    )
    up.add_argument(
        "--simulate", action="store_true", help="simulated guests and networks: needs no root and nothing but Python"
    )


def _add_policy(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    policy = commands.add_parser(
        "policy",
        help="show who may do what, and check a file of rules",
        description="check: whether a file can be used. list: the rules. table: how far each kind of user may go.",
    )
    policy.add_argument("action", choices=("check", "list", "table"))
    policy.add_argument("service", choices=("identity", "compute", "network", "image"))
    policy.add_argument("file", nargs="?", metavar="FILE", help="rules in oslo.policy's format, laid over our own")
    _add_format(policy)


def _add_audit(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    audit = commands.add_parser(
        "audit",
        help="list who changed what, and verify that nobody touched that list",
        description="list: the newest records. verify: whether a record was changed, removed or put in, and which.",
    )
    audit.add_argument("action", choices=("list", "verify"))
    audit.add_argument("--user", metavar="ID", help="list: only what this user did")
    audit.add_argument("--target", metavar="ID", help="list: only what was done to this thing")
    audit.add_argument("--request", metavar="ID", help="list: only this request")
    audit.add_argument("--limit", type=int, default=50, metavar="N", help="list: how many (default: 50)")
    audit.add_argument(
        "--noted", metavar="N:LINK", help="verify: the newest record at an earlier time, as `verify` printed it"
    )
    _add_where(audit)
    _add_format(audit)


def _add_identity(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    identity = commands.add_parser(
        "identity",
        help="change the keys of the identity service, while the cloud runs or not",
        description="rotate-keys: sign tokens with a new key from the next one on; tokens that are out stay good. "
        "rotate-credentials-key: keep secrets that are at rest under a new key in the key file.",
    )
    identity.add_argument("action", choices=("rotate-keys", "rotate-credentials-key"))
    _add_where(identity)


def _add_processes(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser("serve", help="run the control plane in the foreground")
    _add_where(serve)
    agent = commands.add_parser("agent", help="run the agent of one host in the foreground")
    agent.add_argument("host", metavar="HOST")
    _add_where(agent)
    supervise = commands.add_parser("supervise", help="run what watches over the others (`up` does)")
    _add_where(supervise)
    supervise.add_argument("--only-down", action="store_true", help="stop what a dead supervisor left behind")
    supervise.add_argument("--wipe", action="store_true", help="with --only-down: remove what needs root to remove")


def _add_where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", metavar="NAME", help="name of the cloud (default: kilostack)")
    parser.add_argument("--state-dir", metavar="DIR", help="where the cloud keeps its files (default: by XDG rules)")


def _add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--format", choices=("table", "json"), default="table", help="form of the output")


class _Version(argparse.Action):
    """Prints the version; reads it only when asked."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from kilostack import __version__

        print(f"kilostack {__version__}")
        parser.exit()
