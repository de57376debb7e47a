"""The QEMU driver keeps the contract with real processes, and survives what only real processes do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from kilostack.core.world import RealWorld
from kilostack.drivers.guests import confinement, process
from kilostack.drivers.guests.monitor import Monitor
from kilostack.drivers.guests.port import GuestFault, Observed, Stop
from kilostack.drivers.guests.process import name_argument
from kilostack.drivers.guests.qemu import QemuGuests, QemuSettings
from kilostack.wire.compute import Nic
from tests.drivers.guests.contract import GuestContract, boot, guest_of, run, stop_of, until
from tests.drivers.guests.hosts import MemorySource, QemuHost

pytestmark = pytest.mark.root


@pytest.fixture
def host(qemu_host: QemuHost) -> QemuHost:
    return qemu_host


class TestQemuGuests(GuestContract):
    pass


def proc(pid: int, *names: str) -> Path:
    return Path("/proc", str(pid), *names)


async def test_a_guest_runs_as_a_user_of_its_own(host: QemuHost) -> None:
    driver, guest = await host.open(), guest_of(host)
    await run(driver, guest)
    status = proc(host.pid(guest.id), "status").read_text()
    users = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
    assert set(users) == {str(confinement.user_of(guest.id))}
    assert "Seccomp:\t2" in status
    assert "CapEff:\t0000000000000000" in status


async def test_a_guest_is_in_a_session_of_its_own_with_nothing_of_ours_open(host: QemuHost) -> None:
    host.is_confined = False
    driver, guest = await host.open(), guest_of(host)
    with (host.directory / "ours").open("w"):
        await run(driver, guest)
    pid = host.pid(guest.id)
    assert os.getsid(pid) == pid
    opened = {os.readlink(entry) for entry in proc(pid, "fd").iterdir()}
    assert str(host.directory / "ours") not in opened
    assert "/dev/null" in opened


async def test_removal_leaves_no_file_and_no_process(host: QemuHost) -> None:
    driver, guest = await host.open(), guest_of(host)
    await boot(host, driver, guest)
    pid = host.pid(guest.id)
    await driver.remove(guest.id)
    left = [path.name for path in host.directory.rglob("*") if path.is_file()]
    assert left in ([], ["accelerator.json"])
    assert list(host.run_dir.iterdir()) == []
    assert not proc(pid).exists()


async def test_what_was_cut_off_is_cleared_away_and_what_is_not_ours_is_left_alone(host: QemuHost) -> None:
    guest = guest_of(host)
    guests = host.directory / "guests"
    for name in (guest.id, f".gone-{guest.id}", "lost+found"):
        (guests / name).mkdir(parents=True)
        (guests / name / "root.qcow2.part").touch()
    driver = await host.open()
    assert await driver.observe() == {}
    assert [path.name for path in guests.iterdir()] == ["lost+found"]
    await run(driver, guest)


async def test_a_process_id_that_another_program_has_by_now_is_left_alone(host: QemuHost) -> None:
    driver, guest = await host.open(), guest_of(host)
    await run(driver, guest)
    await host.kill(guest.id)
    await stop_of(host, driver, guest, Stop.DIED)
    with sleeper() as other:
        host.files(guest.id).pid.write_text(f"{other.pid}\n")
        assert await driver.look(guest.id) == Observed(id=guest.id, boot=1, stop=Stop.DIED)
        await driver.stop(guest.id, 0)
        await driver.remove(guest.id)
        assert other.poll() is None


class sleeper:  # noqa: N801
    """Another program that runs for the length of a block."""

    def __enter__(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


async def test_a_process_that_nobody_recorded_ends_before_another_starts(host: QemuHost) -> None:
    driver, guest = await host.open(), guest_of(host)
    await run(driver, guest)
    first = host.pid(guest.id)
    await host.close()
    host.files(guest.id).pid.unlink()
    driver = await host.open()
    await driver.start(guest)
    assert [found.pid for found in process.scan(guest.id)] == [host.pid(guest.id)]
    assert host.pid(guest.id) != first


async def test_a_qemu_that_does_not_listen_is_killed(host: QemuHost) -> None:
    driver, guest = await host.open(), guest_of(host)
    await run(driver, guest)
    host.files(guest.id).monitor.unlink()
    await host.close()
    driver = await host.open()
    assert await driver.look(guest.id) == Observed(id=guest.id, boot=1, stop=None)
    await driver.stop(guest.id, 0.1)
    assert await driver.look(guest.id) == Observed(id=guest.id, boot=1, stop=Stop.ASKED)


async def test_a_qemu_that_ends_at_once_is_a_fault_and_the_next_try_works(host: QemuHost) -> None:
    driver, guest = await host.open(), guest_of(host)
    await driver.ensure_disk(guest)
    bad = Nic(port_id="p", network_id="n", mac="not-a-mac", tap="ksg-none", mtu=1450)
    with pytest.raises(GuestFault, match="hypervisor failed while starting") as raised:
        await driver.start(msgspec.structs.replace(guest, nics=(bad,)))
    assert "/" not in raised.value.reason
    seen = await driver.look(guest.id)
    assert seen == Observed(id=guest.id, boot=1, stop=Stop.DIED)
    await driver.start(guest)
    assert await driver.look(guest.id) == Observed(id=guest.id, boot=1, stop=None)


async def test_more_memory_than_there_is(host: QemuHost) -> None:
    driver, guest = await host.open(), guest_of(host)
    await driver.ensure_disk(guest)
    with pytest.raises(GuestFault, match="not enough memory"):
        await driver.start(msgspec.structs.replace(guest, memory_mib=100_000_000))


async def test_a_start_that_is_cancelled_leaves_nothing_running(host: QemuHost) -> None:
    driver, guest = await host.open(), guest_of(host)
    await driver.ensure_disk(guest)
    work = host.world.spawn(driver.start(guest), "start")

    async def has_begun() -> bool:
        return bool(process.scan(guest.id))

    await until(host, has_begun)
    work.cancel()

    async def has_ended() -> bool:
        return work.done()

    await until(host, has_ended)
    assert work.cancelled()
    assert process.scan(guest.id) == []
    assert await driver.look(guest.id) == Observed(id=guest.id, boot=1, stop=Stop.DIED)


async def test_what_shut_down_while_nobody_looked_leaves_no_process(host: QemuHost) -> None:
    driver, guest = await host.open(), guest_of(host)
    await boot(host, driver, guest)
    await driver.close()
    await host.shut_down_inside(guest.id)
    somebody = await Monitor.connect(host.world, host.files(guest.id).monitor, lambda: None)

    async def is_down() -> bool:
        return await somebody.run_state() == "shutdown"

    await until(host, is_down)
    await somebody.close()
    driver = await host.open()
    await stop_of(host, driver, guest, Stop.ITSELF)

    async def is_gone() -> bool:
        return process.scan(guest.id) == []

    await until(host, is_gone)
    assert await driver.look(guest.id) == Observed(id=guest.id, boot=1, stop=Stop.ITSELF)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    where = tmp_path / "small"
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "small", where], check=True)
    yield where
    subprocess.run(["umount", "-l", where], check=True)


async def test_a_full_disk_is_a_fault_and_passes(host: QemuHost, small_disk: Path) -> None:
    host.directory = small_disk
    driver, guest = await host.open(), guest_of(host)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(2_900_000))
    with pytest.raises(GuestFault, match="no disk space left"):
        await driver.ensure_disk(guest)
    filler.unlink()
    await boot(host, driver, guest)


def test_a_host_without_qemu(tmp_path: Path) -> None:
    """In a process of its own, because where programs are found belongs to a process."""
    program = """
import asyncio, pathlib, sys
from kilostack.core.world import RealWorld
from kilostack.drivers.guests.monitor import Monitor
from kilostack.drivers.guests.port import GuestFault
from tests.drivers.guests.contract import guest_of, run
from tests.drivers.guests.hosts import QemuHost
async def main():
    host = QemuHost(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[1]) / "run")
    driver = await host.open()
    try:
        await run(driver, guest_of(host))
    except GuestFault as fault:
        print(fault.reason)
    await host.end()
asyncio.run(main())
"""
    environment = {"PATH": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "The host cannot run guests: its hypervisor is not installed.", done.stderr


async def test_a_run_directory_that_is_too_long_is_refused(world: RealWorld, tmp_path: Path) -> None:
    settings = QemuSettings(state_dir=tmp_path, run_dir=tmp_path / ("x" * 90), probe_cache=tmp_path / "probe")
    with pytest.raises(ValueError, match="too long"):
        QemuGuests(world, MemorySource(), settings)


async def test_a_state_directory_may_be_long_and_odd(host: QemuHost) -> None:
    host.directory = host.directory / ("long, odd " * 15) / "ü"
    host.directory.mkdir(parents=True)
    driver, guest = await host.open(), guest_of(host)
    await boot(host, driver, guest)
    await driver.stop(guest.id, 60)
    assert await driver.look(guest.id) == Observed(id=guest.id, boot=1, stop=Stop.ASKED)


async def test_a_stopped_process_counts_as_running_until_it_is_gone(host: QemuHost) -> None:
    driver, guest = await host.open(), guest_of(host)
    await run(driver, guest)
    os.kill(host.pid(guest.id), signal.SIGSTOP)
    await driver.stop(guest.id, 0)
    assert await driver.look(guest.id) == Observed(id=guest.id, boot=1, stop=Stop.ASKED)
    assert process.scan(guest.id) == []


async def test_the_command_line_is_kept_for_the_curious(host: QemuHost) -> None:
    driver, guest = await host.open(), guest_of(host)
    await run(driver, guest)
    assert name_argument(guest.id, 1) in json.loads(host.files(guest.id).argv.read_text())
