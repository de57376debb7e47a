"""What the operator of a cloud on one machine chose, as kept in its state directory."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError
from pathlib import Path
from typing import Any

from kilostack.core.paths import RunDir, StateDir

#: The form of the state directory that this release reads and writes.
STATE_FORMAT = 1

DEFAULT_NAME = "kilostack"
DEFAULT_PORT = 9640
MAX_HOSTS = 1000

#: Short, because the names of hosts, and so the paths of sockets, are made from it.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,22}[a-z0-9]")


class InvalidSettings(Exception):
    """A setting is out of range; the text names it and says what would be right."""


class NotAStateDir(Exception):
    """The directory carries no settings of ours."""


class NewerState(Exception):
    """The state was written by a later release, which may keep things that this one does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of one cloud; `check` holds for each that was loaded."""

    name: str = DEFAULT_NAME
    port: int = DEFAULT_PORT
    simulate: bool = False
    hosts: int = 1
    #: the range of `public`; settled at the first start where nobody asked for one
    public_cidr: str | None = None
    #: the file from which the first start makes image `tiny`; None in a simulation
    image: Path | None = None
    #: service -> the file whose rules are laid over its own
    policies: Mapping[str, Path] = field(default_factory=dict)
    #: the configuration file; None: the defaults
    config: Path | None = None
    state_dir: Path
    run_dir: Path

    @property
    def state(self) -> StateDir:
        return StateDir(self.state_dir)

    @property
    def run(self) -> RunDir:
        return RunDir(self.run_dir)

    @property
    def auth_url(self) -> str:
        """Where clients of this machine log in."""
        return f"http://127.0.0.1:{self.port}/identity/v3"

    def host_names(self) -> tuple[str, ...]:
        """The names of the hosts, as the APIs show them."""
        return tuple(f"{self.name}-host-{number}" for number in range(1, self.hosts + 1))


def check(settings: Settings) -> Settings:
    """The same settings; raises `InvalidSettings`."""
    if not _NAME.fullmatch(settings.name) or settings.name.endswith("-admin"):
        raise InvalidSettings(
            f"name {settings.name!r}: use 2 to 24 lower case letters, digits and '-', beginning with a letter "
            "and not ending with '-admin'"
        )
    if not 1 <= settings.port <= 65535:
        raise InvalidSettings(f"port {settings.port}: use 1 to 65535")
    if not 1 <= settings.hosts <= MAX_HOSTS:
        raise InvalidSettings(f"hosts {settings.hosts}: use 1 to {MAX_HOSTS}")
    if settings.public_cidr is not None:
        _check_public(settings.public_cidr)
    return settings


def _check_public(cidr: str) -> None:
    try:
        network = IPv4Network(cidr)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise InvalidSettings(f"public range {cidr!r}: {error}; use a range such as 172.24.4.0/24") from None
    if not 8 <= network.prefixlen <= 29:
        raise InvalidSettings(f"public range {cidr}: use a prefix of 8 to 29 bits")


def render(settings: Settings) -> str:
    """The text of the settings file."""
    return (
        json.dumps(
            {
                "kilostack_state": STATE_FORMAT,
                "name": settings.name,
                "port": settings.port,
                "simulate": settings.simulate,
                "hosts": settings.hosts,
                "public_cidr": settings.public_cidr,
                "image": None if settings.image is None else str(settings.image),
                "policies": {service: str(file) for service, file in settings.policies.items()},
                "config": None if settings.config is None else str(settings.config),
                "run_dir": str(settings.run_dir),
            },
            indent=2,
        )
        + "\n"
    )


def load(state_dir: Path) -> Settings:
    """The settings kept in `state_dir`. Raises `NotAStateDir`, `NewerState` or `InvalidSettings`."""
    file = StateDir(state_dir).settings
    try:
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise NotAStateDir(f"{state_dir} holds no cloud") from None
    try:
        return check(_parse(json.loads(text), state_dir))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise InvalidSettings(f"{file} is damaged ({error})") from None


def _parse(values: dict[str, Any], state_dir: Path) -> Settings:
    written = values["kilostack_state"]
    if written > STATE_FORMAT:
        raise NewerState(f"{state_dir} is of a later release (format {written}, this one knows {STATE_FORMAT})")
    # states of an earlier release lack the keys that are looked for with `get`
    cidr, image, config = values["public_cidr"], values["image"], values.get("config")
    return Settings(
        name=str(values["name"]),
        port=int(values["port"]),
        simulate=bool(values["simulate"]),
        hosts=int(values["hosts"]),
        public_cidr=None if cidr is None else str(cidr),
        image=None if image is None else Path(image),
        policies={str(service): Path(file) for service, file in values.get("policies", {}).items()},
        config=None if config is None else Path(config),
        state_dir=state_dir,
        run_dir=Path(values["run_dir"]),
    )
