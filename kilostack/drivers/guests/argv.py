"""The command line of a guest's QEMU, a pure function of what the guest should be and where it runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from kilostack.drivers.guests.process import name_argument
from kilostack.drivers.guests.record import GuestFiles
from kilostack.wire.compute import Guest, Nic

#: Root ports without a device: on q35 a device can be plugged into a running guest only where one is free.
SPARE_PORTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTraits:
    """What the command line must know of the host."""

    accelerator: str
    #: QEMU's own version
    version: tuple[int, int]
    #: user and group that QEMU becomes once it has opened its files; None: it stays who we are
    run_as: int | None


def build(guest: Guest, files: GuestFiles, base: tuple[Path, str], host: HostTraits) -> list[str]:
    """The whole command line. `base` is the image under the guest's disk, and its format."""
    return [
        "qemu-system-x86_64",
        *("-name", name_argument(guest.id, guest.boot)),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-machine", "q35,usb=off,dump-guest-core=off"),
        *_processor(guest, host),
        *("-m", f"size={guest.memory_mib}M"),
        *_identity(guest),
        *("-rtc", "base=utc", "-boot", "strict=on"),
        # A guest that shuts down stays as a paused process until we have seen it: whoever looks later can tell that
        # it stopped itself, which a process that is gone cannot say.
        *("-action", "shutdown=pause"),
        *("-pidfile", str(files.pid)),
        *("-chardev", f"socket,id=qmp,path={_escaped(files.monitor)},server=on,wait=off"),
        *("-mon", "chardev=qmp,mode=control"),
        *("-chardev", _console(files)),
        *("-serial", "chardev:con"),
        *("-device", "virtio-rng-pci"),
        *_disk(files, base),
        *(argument for number, nic in enumerate(guest.nics) for argument in _nic(number, nic)),
        *(argument for number in range(SPARE_PORTS) for argument in _port(f"spare{number}", 64 + number)),
        *_confinement(host),
    ]


def _escaped(path: Path) -> str:
    """A comma ends an option's value unless it is doubled."""
    return str(path).replace(",", ",,")


def _processor(guest: Guest, host: HostTraits) -> list[str]:
    smp = ["-smp", str(guest.vcpus)]
    if host.accelerator == "kvm":
        return ["-accel", "kvm", "-cpu", "host", *smp]
    # The cache of translated code is most of a small guest's footprint: 32 MiB lose no speed there.
    cache = 32 if guest.memory_mib <= 256 else 128 if guest.memory_mib <= 1024 else 256
    return ["-accel", f"tcg,thread=multi,tb-size={cache}", "-cpu", "max,la57=off", *smp]


def _identity(guest: Guest) -> list[str]:
    """cloud-init looks for a metadata service only where the firmware names OpenStack."""
    fields = "manufacturer=OpenStack Foundation,product=OpenStack Compute,family=Virtual Machine"
    return ["-uuid", guest.id, "-smbios", f"type=1,{fields},serial={guest.id},uuid={guest.id}"]


def _console(files: GuestFiles) -> str:
    """One device with a log and a socket. It appends, so that the log may be shortened while it is written."""
    log, socket = _escaped(files.console), _escaped(files.console_socket)
    return f"socket,id=con,path={socket},server=on,wait=off,logfile={log},logappend=on"


def _disk(files: GuestFiles, base: tuple[Path, str]) -> list[str]:
    path, disk_format = base
    backing: dict[str, object] = {
        "driver": disk_format,
        "read-only": True,
        "file": {"driver": "file", "filename": str(path), "read-only": True},
    }
    if disk_format == "qcow2":
        backing["backing"] = None  # whatever the image says, nothing lies below it
    node = {
        "driver": "qcow2",
        "node-name": "root",
        "discard": "unmap",
        "file": {"driver": "file", "filename": str(files.disk), "discard": "unmap"},
        "backing": backing,
    }
    return ["-blockdev", json.dumps(node), "-device", "virtio-blk-pci,drive=root,bootindex=0,serial=root"]


def _port(name: str, number: int) -> list[str]:
    return ["-device", f"pcie-root-port,id={name},bus=pcie.0,chassis={number},slot={number}"]


def _nic(number: int, nic: Nic) -> list[str]:
    return [
        *_port(f"port{number}", 1 + number),
        *("-netdev", f"tap,id=net{number},ifname={nic.tap},script=no,downscript=no"),
        # Without a ROM: nothing boots from the network, and reading it takes time.
        *("-device", f"virtio-net-pci,id=nic{number},netdev=net{number},mac={nic.mac},host_mtu={nic.mtu},"
                     f"bus=port{number},romfile="),
    ]  # fmt: skip


def _confinement(host: HostTraits) -> list[str]:
    sandbox = "on,obsolete=deny,elevateprivileges={},spawn=deny,resourcecontrol=deny"
    if host.run_as is None:
        return ["-sandbox", sandbox.format("deny")]
    user = f"{host.run_as}:{host.run_as}"
    drop = ["-run-with", f"user={user}"] if host.version >= (9, 1) else ["-runas", user]
    # The sandbox closes before QEMU gives up root, so it has to let that call through. Afterwards there is no
    # privilege to raise: the user is nobody's, and no program can be started.
    return ["-sandbox", sandbox.format("allow"), *drop]
