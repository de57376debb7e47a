"""A few tries of everything that the OpenAPI document of identity says."""

from __future__ import annotations

from pathlib import Path

from tests.http.whole.documented import attempt_everything
from tests.http.whole.simulated import SimulatedCloud


def test_no_server_errors_and_no_undocumented_status(tmp_path: Path) -> None:
    cloud = SimulatedCloud(tmp_path, "openapi")
    cloud.up()
    try:
        attempt_everything(cloud, 2)
    finally:
        cloud.down("--wipe")
