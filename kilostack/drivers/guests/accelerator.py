"""Which accelerator guests get: found by booting a probe, because a /dev/kvm that opens may still hang its guests."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from kilostack.core.world import World

log = logging.getLogger(__name__)

PROBE_TIMEOUT_S: Final = 3.0
_DEBUG_PORT: Final = 0xF4
_CODE: Final = 0x2A
#: What QEMU exits with when the guest writes `_CODE` to its debug port.
_EXIT_STATUS: Final = _CODE << 1 | 1


#: The firmware boots from no disk that is smaller than a cylinder or so.
_DISK_BYTES: Final = 1 << 20


def _disk() -> bytes:
    """mov dx, port; mov al, code; out dx, al; hlt; jump back. The firmware has gone through all modes before."""
    code = bytes([0xBA, _DEBUG_PORT, 0x00, 0xB0, _CODE, 0xEE, 0xF4, 0xEB, 0xFD])
    return (code.ljust(510, b"\0") + b"\x55\xaa").ljust(_DISK_BYTES, b"\0")


async def boots(world: World, accelerator: list[str]) -> bool:
    """Whether a guest gets as far as its own code, in time, with these options of QEMU."""
    with tempfile.NamedTemporaryFile(prefix="kilostack-probe-") as disk:
        disk.write(_disk())
        disk.flush()
        return await _run(world, accelerator, disk.name) == _EXIT_STATUS


async def _run(world: World, accelerator: list[str], disk: str) -> int | None:
    null = asyncio.subprocess.DEVNULL
    argv = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35"]
    argv += [*accelerator, "-m", "32", "-boot", "strict=on"]
    argv += ["-device", f"isa-debug-exit,iobase={_DEBUG_PORT},iosize=1"]
    argv += ["-drive", f"if=none,id=probe,format=raw,read-only=on,file={disk}"]
    argv += ["-device", "virtio-blk-pci,drive=probe,bootindex=0"]
    try:
        process = await asyncio.create_subprocess_exec(*argv, stdin=null, stdout=null, stderr=null)
    except OSError:
        return None
    try:
        async with world.timeout(PROBE_TIMEOUT_S):
            return await process.wait()
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class _Answer(msgspec.Struct, frozen=True):
    machine: str
    accelerator: str


class Accelerator:
    """The machine's accelerator; probed at most once per boot of its kernel, and kept in `cache`."""

    def __init__(self, world: World, cache: Path, device: Path = Path("/dev/kvm")) -> None:
        self._world = world
        self._cache = cache
        self._device = device
        self._search: asyncio.Task[str] | None = None

    def begin(self) -> None:
        """Start looking in the background."""
        if self._search is None:
            self._search = self._world.spawn(self._find(), "probe the accelerator")

    async def chosen(self) -> str:
        """ "kvm" or "tcg"."""
        self.begin()
        assert self._search is not None
        return await asyncio.shield(self._search)

    async def _find(self) -> str:
        if not os.access(self._device, os.R_OK | os.W_OK):
            return "tcg"
        machine = _machine()
        with contextlib.suppress(OSError, msgspec.DecodeError):
            known = msgspec.json.decode(self._cache.read_bytes(), type=_Answer)
            if known.machine == machine:
                return known.accelerator
        answer = "kvm" if await boots(self._world, ["-accel", "kvm", "-cpu", "host"]) else "tcg"
        log.info("accelerator is %s", answer)
        with contextlib.suppress(OSError):
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            part = self._cache.with_name(f"{self._cache.name}.{os.getpid()}")
            part.write_bytes(msgspec.json.encode(_Answer(machine, answer)))
            part.replace(self._cache)
        return answer


def _machine() -> str:
    """Changes when the machine or its kernel is started anew."""
    with contextlib.suppress(OSError):
        return f"{os.uname().release} {Path('/proc/sys/kernel/random/boot_id').read_text().strip()}"
    return os.uname().release
