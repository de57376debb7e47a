"""A real host with a short run directory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.drivers.guests.hosts import QemuHost


@pytest.fixture
async def qemu_host(tmp_path: Path) -> AsyncIterator[QemuHost]:
    run_dir = Path(tempfile.mkdtemp(prefix="ksg-", dir="/tmp"))
    made = QemuHost(tmp_path, run_dir)
    yield made
    await made.end()
    shutil.rmtree(run_dir)
