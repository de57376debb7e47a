"""What each saga of a server is started with; all else is in the server's row."""

from __future__ import annotations

from typing import Literal

import msgspec


class CreateParams(msgspec.Struct, frozen=True, kw_only=True):
    server_id: str
    #: only this host (an administrator's wish)
    host: str | None = None


class DeleteParams(msgspec.Struct, frozen=True, kw_only=True):
    server_id: str


class PowerParams(msgspec.Struct, frozen=True, kw_only=True):
    server_id: str
    power: Literal["on", "off"]
    #: boot (again), by this kind; None leaves a running guest running
    boot_kind: Literal["soft", "hard"] | None = None
