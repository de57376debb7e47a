"""What a machine offers to guests."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

from kilostack.wire.compute import HostFacts

_GIB = 1 << 30


def machine_facts(host: str, state_dir: Path, address: str, *, shared_by: int, accelerator: str) -> HostFacts:
    """The cores, memory and disk of this machine, divided among the `shared_by` hosts that live on it."""
    place = state_dir
    while not place.exists():
        place = place.parent
    return HostFacts(
        hostname=host,
        vcpus=max(1, (os.cpu_count() or 1) // shared_by),
        memory_mib=_memory_mib() // shared_by,
        disk_gib=shutil.disk_usage(place).free // _GIB // shared_by,
        accelerator=accelerator,
        hypervisor_version=_qemu_version(),
        cpu_arch=platform.machine(),
        cpu_model=_cpu_model(),
        address=address,
        booted_at=_booted_at(),
    )


def _booted_at() -> int | None:
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("btime "):
            return int(line.split()[1]) * 1_000_000
    return None


def _memory_mib() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    raise OSError("/proc/meminfo does not say how much memory there is")


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return ""


def _qemu_version() -> int:
    """7002022 for 7.2.22, as libvirt counts; 0 when QEMU is missing, which guests then say."""
    try:
        told = subprocess.run(
            ["qemu-system-x86_64", "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
        numbers = [int(part) for part in told.split("version ", 1)[1].split(" ", 1)[0].split(".")[:3]]
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        return 0
    return numbers[0] * 1_000_000 + numbers[1] * 1000 + numbers[2]
