"""A guest's root disk: a qcow2 overlay on a cached image, made in the same time whatever the image's size."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kilostack.drivers.guests import faults
from kilostack.drivers.guests.port import GuestFault
from kilostack.drivers.guests.process import environment

_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The image under an overlay."""

    path: Path
    disk_format: str
    virtual_size_bytes: int


def disk_bytes(base: Base, disk_gib: int) -> int:
    """The size of the root disk; 0 GiB asks for the image's own size."""
    if not disk_gib:
        return base.virtual_size_bytes
    if base.virtual_size_bytes > disk_gib * _GIB:
        needed = -(-base.virtual_size_bytes // _GIB)
        raise GuestFault(f"The image needs a disk of {needed} GiB; the flavor has {disk_gib} GiB.", final=True)
    return disk_gib * _GIB


async def make_overlay(base: Base, overlay: Path, size_bytes: int) -> None:
    """Make the disk. It appears whole or not at all."""
    part = overlay.with_name(f"{overlay.name}.part")
    options = ["-b", str(base.path), "-F", base.disk_format, str(part), str(size_bytes)]
    try:
        await run(["qemu-img", "create", "-q", "-f", "qcow2", *options], "making the guest's disk")
        part.replace(overlay)
    finally:
        part.unlink(missing_ok=True)


async def run(argv: Sequence[str], doing: str) -> None:
    """Run a program to its end; `GuestFault` when it fails. Cancelled, it is killed."""
    null = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=null, stdout=null, stderr=asyncio.subprocess.PIPE, env=environment()
        )
    except FileNotFoundError as error:
        raise GuestFault(faults.NO_HYPERVISOR) from error
    except OSError as error:
        raise faults.from_os(error, doing) from error
    try:
        _, output = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise faults.from_output(output.decode(errors="replace"), doing)
