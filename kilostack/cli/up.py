"""`kilostack up`: start the cloud, or what is missing of it, and return when it answers."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from kilostack.cli import client_files, cloud, launch, state
from kilostack.cli.build import build
from kilostack.cli.failure import Failure
from kilostack.cli.owner import Owner, assume, who_typed
from kilostack.cli.program import Program
from kilostack.cli.supervisor.control import ask
from kilostack.core.paths import default_run_dir
from kilostack.core.settings import DEFAULT_NAME, DEFAULT_PORT, InvalidSettings, Settings, check

ANSWER_S = 60.0
HOSTS_S = 10.0
POLL_S = 0.02
#: So many quick deaths of the control plane mean that it will not come up.
DEATHS = 3


def run(args: argparse.Namespace, program: Program) -> int:
    """Bring up the cloud that the arguments mean."""
    owner = who_typed(os.environ)
    assume(owner)
    state_dir = state.where(args, owner)
    with state.locked(state_dir):
        before = state.find(args, owner)
        settings = _merge(args, owner, before, program)
        directory = client_files.config_dir(owner, os.environ)
        running = None if before is None else cloud.supervisor_status(before)
        if running is not None and before is not None and not _is_older(running, before):
            _repair(settings, before)
            _wait(settings)
            _write_client_files(settings, directory)
            print(f"Cloud {settings.name} is up already; nothing was changed.")
            return 0
        _start(settings, before, owner, program)
        _write_client_files(settings, directory)  # while the control plane starts
        _wait(settings)
    _tell(args, settings, directory)
    return 0


def _merge(args: argparse.Namespace, owner: Owner, before: Settings | None, program: Program) -> Settings:
    """What is remembered, with what was asked for now."""
    simulate = bool(args.simulate or (before is not None and before.simulate))
    as_root = owner.uid == 0 if simulate else True
    state_dir = state.where(args, owner)
    settings = before or Settings(
        name=args.name or DEFAULT_NAME,
        port=DEFAULT_PORT,
        simulate=simulate,
        state_dir=state_dir,
        run_dir=default_run_dir(state_dir, uid=owner.uid, as_root=as_root, environ=os.environ),
    )
    asked = {"port": args.port, "hosts": args.hosts, "public_cidr": args.public_cidr}
    asked["image"] = None if args.image is None else Path(args.image).absolute()
    asked["policies"] = _policies(args, settings)
    settings = replace(settings, config=_config(args, settings))
    try:
        settings = check(replace(settings, **{key: value for key, value in asked.items() if value is not None}))
    except InvalidSettings as error:
        raise Failure(str(error)) from None
    if before is not None:
        _check_change(before, settings, args)
        return settings
    return _settle(settings, owner, program)


def _policies(args: argparse.Namespace, settings: Settings) -> dict[str, Path]:
    """The files of rules, each seen to be usable: a cloud that cannot start is noticed before it is stopped."""
    files = dict(settings.policies)
    for asked in args.policy or ():
        service, _, file = asked.partition("=")
        files.pop(service, None)
        if file:
            files[service] = Path(file).absolute()
    if files:
        from kilostack.cli.policy import check_files

        check_files(files)
    return files


def _config(args: argparse.Namespace, settings: Settings) -> Path | None:
    """The configuration file, seen to be usable."""
    file = settings.config if args.config is None else Path(args.config).absolute() if args.config else None
    if file is not None:
        from kilostack.assembly.configuration import BadConfiguration, load

        try:
            load(file)
        except BadConfiguration as error:
            raise Failure(str(error), "docs/reference/configuration.md tells every key.") from None
    return file


def _settle(settings: Settings, owner: Owner, program: Program) -> Settings:
    """What is decided once, at the first start: later ones must find the same."""
    if settings.simulate:
        from kilostack.cli.fabric import simulated_public_cidr

        return replace(settings, public_cidr=simulated_public_cidr(settings))
    image = settings.image or _built_image(owner)
    return replace(settings, public_cidr=program.fabric(settings).public_cidr(), image=image)


def _check_change(before: Settings, settings: Settings, args: argparse.Namespace) -> None:
    other = "Start another cloud beside it: kilostack up --name NAME --port P"
    if args.simulate and not before.simulate:
        raise Failure(f"cloud {before.name} is a real one", other)
    if settings.public_cidr != before.public_cidr:
        raise Failure(f"the public range of cloud {before.name} is settled, its networks are made from it", other)
    if settings.hosts < before.hosts:
        raise Failure(f"cloud {before.name} has {before.hosts} hosts; servers may live on them", other)


def _built_image(owner: Owner) -> Path:
    """The newest image that `tools/guest-image --cached` has built for this user."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    cache = (Path(base) if os.path.isabs(base) else owner.home / ".cache") / "kilostack"
    found = sorted(cache.glob("tiny-*.qcow2"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise Failure(
            f"there is no image for the first guests in {cache}",
            "Build it with `make image`, or name a qcow2 file: kilostack up --image FILE",
        )
    return found[-1]


def _is_older(running: dict[str, object], before: Settings) -> bool:
    """Whether another build is running; then it is told to leave its guests alone and go."""
    if running["build"] == build():
        return False
    print(f"Replacing the processes of build {running['build']}; guests go on running.")
    for _ in ask(before.run.supervisor_socket, {"do": "stop"}, 30.0):
        pass
    return True


def _repair(settings: Settings, running: Settings) -> None:
    if settings != running:
        raise Failure(
            f"cloud {running.name} is running with other options",
            f"Stop it first, then start it with the new ones: kilostack down --state-dir {running.state_dir}",
        )
    for answer in ask(running.run.supervisor_socket, {"do": "repair"}, 30.0):
        if answer.get("problem"):
            raise Failure(str(answer["problem"]))


def _start(settings: Settings, before: Settings | None, owner: Owner, program: Program) -> None:
    with suppress(client_files.NotWritten):  # told when they are to be written: the cloud does not depend on it
        client_files.check(settings, client_files.config_dir(owner, os.environ))
    state.make(settings)
    try:
        launch.supervise(settings, owner, program)
    except Failure:
        if before is None:
            state.remove(settings)
        else:
            state.make(before)
        raise


def _wait(settings: Settings) -> None:
    """Until the cloud answers, then a little for its hosts."""
    until = time.monotonic() + ANSWER_S
    look_at = time.monotonic() + 0.5
    while not (found := cloud.readiness(settings)).answers:
        now = time.monotonic()
        if now > look_at:
            look_at = now + 0.5
            _check_control_plane(settings)
        if now > until:
            raise Failure(f"the cloud does not answer after {ANSWER_S:.0f} s", f"See {settings.state.logs}.")
        time.sleep(POLL_S)
    until = time.monotonic() + HOSTS_S
    while found.hosts is not None and found.hosts < settings.hosts and time.monotonic() < until:
        time.sleep(POLL_S)
        found = cloud.readiness(settings)
    if found.hosts is not None and found.hosts < settings.hosts:
        print(f"kilostack: {settings.hosts - found.hosts} of {settings.hosts} hosts are not there yet", file=sys.stderr)


def _check_control_plane(settings: Settings) -> None:
    status = cloud.supervisor_status(settings)
    if status is None:
        raise Failure("the supervisor has ended", f"See {settings.state.logs / 'supervisor.log'}.")
    control = status["children"][0]
    if control["restarts"] >= DEATHS:
        said = "\n".join(f"  {line}" for line in control["last_words"])
        raise Failure(
            f"the control plane does not start ({control['last_exit']})\n{said}".rstrip(),
            f"See {settings.state.logs / 'control-plane.log'}; `kilostack down` stops trying.",
        )


def _write_client_files(settings: Settings, directory: Path) -> None:
    try:
        client_files.write(settings, directory)
        shutil.rmtree(client_files.aside_dir(settings), ignore_errors=True)
    except client_files.NotWritten as problem:
        aside = client_files.write_aside(settings)
        print(
            f"kilostack: {problem}; it was left as it is.\n"
            f"The entries are in {aside}: export OS_CLIENT_CONFIG_FILE={shlex.quote(str(aside / 'clouds.yaml'))}",
            file=sys.stderr,
        )


def _tell(args: argparse.Namespace, settings: Settings, directory: Path) -> None:
    hosts = f"{settings.hosts} {'simulated ' if settings.simulate else ''}host{'s' if settings.hosts > 1 else ''}"
    bin_dir = Path(sys.executable).parent
    on_path = str(bin_dir) in os.environ.get("PATH", "").split(os.pathsep)
    print(f"Cloud {settings.name} is up: http://127.0.0.1:{settings.port} ({hosts})")
    print(f"Its entries are in {directory / 'clouds.yaml'}. Type next:")
    print()
    if not on_path:
        print(f"    export PATH={shlex.quote(str(bin_dir))}:$PATH")
    print(f"    export OS_CLOUD={settings.name}")
    print("    openstack server list")
    print()
    print(f"README.md boots a first server. `kilostack down{_which(args)}` stops everything.")


def _which(args: argparse.Namespace) -> str:
    """What was typed to say which cloud: the other commands need it, too."""
    name = f" --name {args.name}" if args.name else ""
    return name + (f" --state-dir {shlex.quote(args.state_dir)}" if args.state_dir else "")
