"""What clients need to find the cloud: entries in clouds.yaml and a file for the shell, for each of its two users."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kilostack.cli import state
from kilostack.cli.failure import Failure
from kilostack.cli.owner import Owner
from kilostack.core.settings import Settings

#: What was written last, so that a second `up` need not parse anything.
REMEMBERED = "clients.json"


class NotWritten(Exception):
    """A file of the user could not be changed; nothing in it was."""


def entry_names(settings: Settings) -> dict[str, str]:
    """User of the cloud -> name of the entry."""
    return {"demo": settings.name, "admin": f"{settings.name}-admin"}


def config_dir(owner: Owner, environ: Mapping[str, str]) -> Path:
    """Where OpenStack clients look for their files."""
    base = environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if os.path.isabs(base) else owner.home / ".config") / "openstack"


def check(settings: Settings, directory: Path) -> None:
    """Raise a `Failure` when an entry of our name leads to somebody else's cloud."""
    text = _read(directory / "clouds.yaml")
    if not any(name in text for name in entry_names(settings).values()):
        return
    from kilostack.cli import clouds_yaml

    try:
        found = clouds_yaml.entries(text)
    except clouds_yaml.Broken:
        return
    for name in entry_names(settings).values():
        if name in found and not _is_ours(found[name]):
            raise Failure(
                f"{directory / 'clouds.yaml'} has an entry {name} that leads elsewhere",
                "Choose another name: kilostack up --name NAME",
            )


def write(settings: Settings, directory: Path) -> None:
    """Put both entries and both shell files in place. Raises `NotWritten`; then the files are as they were."""
    passwords = state.passwords(settings)
    wanted = {name: _entry(settings, user, passwords[user]) for user, name in entry_names(settings).items()}
    clouds = directory / "clouds.yaml"
    remembered = settings.state_dir / REMEMBERED
    seen = {"wanted": wanted, "clouds": _read(clouds)}
    if _load(remembered) == seen and all(_openrc(directory, name).exists() for name in wanted):
        return
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(directory):
            _edit(clouds, wanted)
            for name, entry in wanted.items():
                state.replace(_openrc(directory, name), _shell(name, entry))
    except OSError as error:
        raise NotWritten(f"{error.filename or directory}: {error.strerror}") from None
    state.replace(remembered, json.dumps({"wanted": wanted, "clouds": _read(clouds)}))


def aside_dir(settings: Settings) -> Path:
    """Where the files are when the user's own could not be changed."""
    return settings.state_dir / "openstack"


def write_aside(settings: Settings) -> Path:
    """The same files in the state directory, for when the user's own cannot be changed."""
    write(settings, aside_dir(settings))
    return aside_dir(settings)


def remove(settings: Settings, directory: Path) -> None:
    """Take out what `write` put in. Raises `NotWritten`."""
    if not directory.is_dir():
        return
    clouds = directory / "clouds.yaml"
    try:
        with _locked(directory):
            if clouds.exists():
                _take_out(settings, clouds)
            for name in entry_names(settings).values():
                _openrc(directory, name).unlink(missing_ok=True)
    except OSError as error:
        raise NotWritten(f"{error.filename or directory}: {error.strerror}") from None
    with suppress(OSError):
        directory.rmdir()


def _take_out(settings: Settings, clouds: Path) -> None:
    from kilostack.cli import clouds_yaml

    try:
        found = clouds_yaml.entries(_read(clouds))
    except clouds_yaml.Broken:
        return
    ours = [name for user, name in entry_names(settings).items() if _leads_here(found.get(name), settings, user)]
    if ours:
        text = clouds_yaml.edit(_read(clouds), dict.fromkeys(ours))
        if clouds_yaml.is_empty(text) and not clouds.is_symlink():
            clouds.unlink()
        else:
            state.replace(clouds, text)


def _edit(clouds: Path, wanted: dict[str, dict[str, Any]]) -> None:
    from kilostack.cli import clouds_yaml

    text = _read(clouds)
    try:
        edited = clouds_yaml.edit(text, wanted)
    except clouds_yaml.Broken as error:
        raise NotWritten(f"{clouds} cannot be read by any client: {error}") from None
    if edited != text or clouds.stat().st_mode & 0o077:
        if clouds.exists() and not clouds.stat().st_mode & 0o200:
            raise NotWritten(f"{clouds} is read-only")
        state.replace(clouds, edited)


def _entry(settings: Settings, user: str, password: str) -> dict[str, Any]:
    return {
        "auth": {
            "auth_url": settings.auth_url,
            "username": user,
            "password": password,
            "project_name": user,
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        "region_name": "RegionOne",
        "identity_api_version": 3,
    }


def _shell(name: str, entry: dict[str, Any]) -> str:
    values = {**entry["auth"], "region_name": entry["region_name"], "identity_api_version": "3"}
    lines = [f"export OS_{key.upper()}={shlex.quote(str(value))}" for key, value in values.items()]
    return "\n".join([f"# Source this to work with {name} without a clouds.yaml.", "unset OS_CLOUD", *lines, ""])


def _is_ours(entry: Any) -> bool:
    """An entry that leads to this machine, on the path that only an `up` like ours writes."""
    try:
        url = urlsplit(str(entry["auth"]["auth_url"]))
    except (KeyError, TypeError, ValueError):
        return False
    return url.hostname == "127.0.0.1" and url.path == "/identity/v3"


def _leads_here(entry: Any, settings: Settings, user: str) -> bool:
    """Whether the entry is the one that `write` makes, whatever the password of today."""
    auth = entry.get("auth") if isinstance(entry, dict) else None
    return isinstance(auth, dict) and bool(entry == _entry(settings, user, auth.get("password", "")))


def _openrc(directory: Path, name: str) -> Path:
    return directory / f"{name}-openrc"


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise NotWritten(f"{path} cannot be read: {error}") from None


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Two clouds that start at once take turns."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
