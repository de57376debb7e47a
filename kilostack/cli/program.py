"""How the program starts itself again, and what it lays under its hosts; a test hands in another."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kilostack.core.settings import Settings


class Fabric(Protocol):
    """The namespaces and links of one cloud's hosts. Every verb may be called at any time, and again."""

    def public_cidr(self) -> str:
        """The range of `public`. Raises `Failure` when the one asked for cannot be had; needs no rights."""

    def ensure(self) -> None:
        """Make what is missing, leave alone what runs."""

    def remove(self) -> None:
        """Leave nothing."""

    def is_present(self) -> bool:
        """Whether there is anything to remove."""

    def namespace(self, host: str) -> Path:
        """The network namespace in which the host's agent runs."""

    def address(self, host: str) -> str:
        """The host's address towards its neighbours."""


def real_fabric(settings: Settings) -> Fabric:
    """The one made of network namespaces."""
    from kilostack.cli.fabric import NamespaceFabric

    return NamespaceFabric(settings)


@dataclass(frozen=True, slots=True)
class Program:
    """What the commands need to start others."""

    #: starts this program, whatever the directory and the environment; arguments of a command follow
    argv: tuple[str, ...] = (sys.executable, "-I", "-m", "kilostack.cli")
    fabric: Callable[[Settings], Fabric] = field(default=real_fabric)
