"""The command line says what the guest should be, whatever its paths are called."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from kilostack.drivers.guests.argv import HostTraits, build
from kilostack.drivers.guests.disk import Base, disk_bytes
from kilostack.drivers.guests.port import GuestFault
from kilostack.drivers.guests.record import GuestFiles
from kilostack.wire.compute import Nic
from tests.agents.guests.test_plan import GUEST, guest

FILES = GuestFiles(GUEST, Path("/state/a,b") / GUEST, Path("/run/x"))
BASE = (Path("/state/images/base"), "qcow2")
TCG = HostTraits(accelerator="tcg", version=(7, 2), run_as=None)


def command(host: HostTraits = TCG, **changes: Any) -> list[str]:
    return build(guest(**changes), FILES, BASE, host)


def values(argv: list[str], option: str) -> list[str]:
    return [value for name, value in itertools.pairwise(argv) if name == option]


def test_size_and_identity() -> None:
    argv = command(vcpus=3, memory_mib=512, boot=7)
    assert values(argv, "-smp") == ["3"]
    assert values(argv, "-m") == ["size=512M"]
    assert values(argv, "-uuid") == [GUEST]
    assert values(argv, "-name") == [f"guest={GUEST}/7,debug-threads=on"]
    assert "OpenStack" in values(argv, "-smbios")[0]


def test_a_small_guest_has_a_small_cache_of_translated_code() -> None:
    assert "tb-size=32" in values(command(memory_mib=256), "-accel")[0]
    assert "tb-size=32" not in values(command(memory_mib=257), "-accel")[0]
    assert values(command(host_of("kvm")), "-accel") == ["kvm"]


def host_of(accelerator: str, version: tuple[int, int] = (7, 2), run_as: int | None = None) -> HostTraits:
    return HostTraits(accelerator=accelerator, version=version, run_as=run_as)


def test_each_card_has_its_tap_its_mtu_and_a_port_of_its_own() -> None:
    nics = tuple(
        Nic(port_id=f"p{n}", network_id="n", mac=f"fa:16:3e:00:00:0{n}", tap=f"tap{n}", mtu=1450) for n in (1, 2)
    )
    argv = command(nics=nics)
    assert [value.split(",")[2] for value in values(argv, "-netdev")] == ["ifname=tap1", "ifname=tap2"]
    cards = [value for value in values(argv, "-device") if value.startswith("virtio-net-pci")]
    assert all("host_mtu=1450" in card for card in cards)
    assert len({card.split("bus=")[1].split(",")[0] for card in cards}) == 2


def test_nothing_lies_below_the_image_whatever_it_says() -> None:
    node = json.loads(values(command(), "-blockdev")[0])
    assert node["backing"]["file"]["filename"] == "/state/images/base"
    assert node["backing"]["read-only"] is True
    assert node["backing"]["backing"] is None


def test_commas_in_paths_end_no_option() -> None:
    consoles = [value for value in values(command(), "-chardev") if "id=con" in value]
    assert f"logfile=/state/a,,b/{GUEST}/console.log," in consoles[0]
    assert json.loads(values(command(), "-blockdev")[0])["file"]["filename"].startswith("/state/a,b/")


def test_a_user_of_its_own_is_asked_for_as_this_qemu_understands_it() -> None:
    old, new = host_of("tcg", (7, 2), 5), host_of("tcg", (9, 1), 5)
    assert values(command(old), "-runas") == ["5:5"]
    assert values(command(new), "-run-with") == ["user=5:5"]
    assert "elevateprivileges=deny" in values(command(), "-sandbox")[0]


def test_the_disk_is_as_large_as_the_flavor_says() -> None:
    base = Base(path=BASE[0], disk_format="qcow2", virtual_size_bytes=3 << 29)
    assert disk_bytes(base, 2) == 2 << 30
    assert disk_bytes(base, 0) == 3 << 29
    with pytest.raises(GuestFault, match="needs a disk of 2 GiB; the flavor has 1 GiB") as raised:
        disk_bytes(base, 1)
    assert raised.value.final
