"""The state directory as commands see it: found, made, locked, and removed only when it is ours."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kilostack.cli.failure import Failure
from kilostack.cli.owner import Owner
from kilostack.core import settings as core
from kilostack.core.paths import default_state_dir
from kilostack.core.settings import Settings

USERS = ("admin", "demo")


def where(args: argparse.Namespace, owner: Owner) -> Path:
    """The state directory that the arguments mean."""
    if args.state_dir:
        return Path(args.state_dir).absolute()
    return default_state_dir(args.name or core.DEFAULT_NAME, os.environ, owner.home)


def load(state_dir: Path) -> Settings:
    """The settings kept there; a `Failure` says what to do when there are none that this release can use."""
    try:
        return core.load(state_dir)
    except core.NotAStateDir as error:
        raise Failure(str(error), "Start one with `kilostack up`.") from None
    except core.NewerState as error:
        raise Failure(
            str(error), "Use that release, or start afresh in another directory: kilostack up --state-dir DIR"
        ) from None
    except core.InvalidSettings as error:
        raise Failure(str(error), "Repair the file, or remove the whole directory to start afresh.") from None
    except PermissionError as error:
        raise Failure(f"{error.filename} belongs to somebody else", "Ask as the user who started the cloud.") from None


def find(args: argparse.Namespace, owner: Owner) -> Settings | None:
    """The cloud that the arguments mean; None when there is none."""
    path = where(args, owner)
    try:
        if not (path / "settings.json").exists():
            return None
    except PermissionError:
        raise Failure(f"{path} belongs to somebody else", "Ask as the user who started the cloud.") from None
    settings = load(path)
    if args.name and args.name != settings.name:
        raise Failure(f"{path} holds cloud {settings.name}, not {args.name}", "Use another --state-dir.")
    return settings


def make(settings: Settings) -> None:
    """Write the settings, and the passwords when there are none yet. Of a new directory nothing is left on failure."""
    root = settings.state_dir
    is_new = not settings.state.settings.exists()
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if is_new and any(root.iterdir()):
            raise Failure(f"{root} holds something else", "Give an empty directory, or one that is not there yet.")
        try:
            _fill(settings)
        except OSError:
            if is_new:
                remove(settings)
            raise
    except OSError as error:
        raise Failure(
            f"cannot write {error.filename or root}: {error.strerror}", "Choose another --state-dir."
        ) from None


def _fill(settings: Settings) -> None:
    """The settings first: they mark the directory as ours."""
    replace(settings.state.settings, core.render(settings))
    for part in (settings.state.logs, settings.state.databases, settings.state.images):
        part.mkdir(mode=0o700, exist_ok=True)
    if not settings.state.passwords.exists():
        made = {user: secrets.token_urlsafe(18) for user in USERS}
        replace(settings.state.passwords, json.dumps(made, indent=2) + "\n")
    passwords(settings)  # while nothing has been started yet


def passwords(settings: Settings) -> dict[str, str]:
    """User name -> password. A `Failure` when the file does not hold them."""
    file = settings.state.passwords
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        kept: dict[str, str] = {user: found[user] for user in USERS}
    except (OSError, ValueError, KeyError, TypeError):
        kept = {}
    if not kept or not all(isinstance(password, str) and password for password in kept.values()):
        raise Failure(
            f"{file} is damaged: it must hold the passwords of {' and '.join(USERS)}",
            "They are in clouds.yaml, too: put them back there as a JSON object, user -> password.",
        )
    return kept


def replace(path: Path, text: str, mode: int = 0o600) -> None:
    """Write the whole file or nothing of it; a link stays a link, what it leads to is replaced."""
    path = path.resolve()
    new = path.with_name(f".{path.name}.new-{os.getpid()}")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.chmod(mode)
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


@contextmanager
def locked(state_dir: Path) -> Iterator[None]:
    """One `up` or `down` at a time: the second waits for the first. An empty directory is not left behind."""
    descriptor = _lock(state_dir)
    try:
        yield
    finally:
        with suppress(OSError):
            state_dir.rmdir()
        os.close(descriptor)


def _lock(state_dir: Path) -> int:
    while True:
        try:
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Failure(f"cannot use {state_dir}: {error.strerror}", "Choose another --state-dir.") from None
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(state_dir)):
                return descriptor
        os.close(descriptor)  # whoever held it has removed the directory


def remove(settings: Settings) -> list[str]:
    """Remove the state directory, the mark that it is ours last; returns what could not be removed."""
    left: list[str] = []

    def keep(_: object, path: str, __: object) -> None:
        left.append(path)

    marker = settings.state.settings
    for entry in settings.state_dir.iterdir():
        if entry == marker:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, onerror=keep)
        else:
            entry.unlink()
    if left:
        return left
    marker.unlink(missing_ok=True)
    if settings.state_dir.is_mount():  # somebody's disk: it is empty now
        return []
    settings.state_dir.rmdir()
    if settings.state_dir.parent.name == "kilostack":
        with suppress(OSError):  # others live there, too
            settings.state_dir.parent.rmdir()
    return []
