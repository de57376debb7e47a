"""Whom a guest's QEMU runs as, and what this machine's QEMU can do about it."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Final

from kilostack.drivers.guests import faults
from kilostack.drivers.guests.port import GuestFault

#: Users from here on belong to nobody on an ordinary machine: above what systems and containers hand out.
_FIRST_USER: Final = 0x7000_0000
_USERS: Final = 0x0800_0000
_version: tuple[int, int] | None = None


def user_of(guest_id: str) -> int | None:
    """A user (and group) id of the guest's own, so that one broken QEMU cannot touch another. None where we may not
    become it: when we are not root, or in a user namespace that does not have it."""
    if os.geteuid() != 0:
        return None
    user = _FIRST_USER + int(guest_id[:8], 16) % _USERS
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = (int(field) for field in line.split())
        if first <= user < first + count:
            return user
    return None


async def qemu_version() -> tuple[int, int]:
    """Major and minor version of the installed QEMU; asked once per process."""
    global _version
    if _version is None:
        null = asyncio.subprocess.DEVNULL
        try:
            asked = await asyncio.create_subprocess_exec(
                "qemu-system-x86_64", "--version", stdin=null, stdout=asyncio.subprocess.PIPE, stderr=null
            )
        except OSError as error:
            raise GuestFault(faults.NO_HYPERVISOR) from error
        answer, _ = await asked.communicate()
        found = re.search(rb"version (\d+)\.(\d+)", answer)
        if found is None:
            raise GuestFault(faults.NO_HYPERVISOR)
        _version = int(found[1]), int(found[2])
    return _version
