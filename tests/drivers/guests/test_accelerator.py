"""The accelerator is the one that boots a guest; the answer is kept until the machine starts anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kilostack.core.world import RealWorld
from kilostack.drivers.guests.accelerator import Accelerator, boots


@pytest.mark.root
async def test_the_probe_boots_where_guests_boot(world: RealWorld) -> None:
    assert await boots(world, ["-accel", "tcg"])
    assert not await boots(world, ["-accel", "no-such-thing"])


async def test_a_machine_without_the_device_has_no_kvm(world: RealWorld, tmp_path: Path) -> None:
    cache = tmp_path / "accelerator.json"
    assert await Accelerator(world, cache, tmp_path / "kvm").chosen() == "tcg"
    assert not cache.exists()


@pytest.mark.root
async def test_the_answer_is_kept_until_the_machine_starts_anew(world: RealWorld, tmp_path: Path) -> None:
    cache, device = tmp_path / "deep" / "accelerator.json", tmp_path / "kvm"
    device.touch()
    found = await Accelerator(world, cache, device).chosen()
    kept = json.loads(cache.read_text())
    assert kept["accelerator"] == found
    other = "tcg" if found == "kvm" else "kvm"
    cache.write_text(json.dumps(kept | {"accelerator": other}))
    assert await Accelerator(world, cache, device).chosen() == other
    cache.write_text(json.dumps(kept | {"accelerator": other, "machine": "before"}))
    assert await Accelerator(world, cache, device).chosen() == found
    cache.write_text("{")
    assert await Accelerator(world, cache, device).chosen() == found
