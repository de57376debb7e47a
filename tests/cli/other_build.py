"""The stand-in program as a later release would be."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import kilostack

kilostack.__version__ = "9.9.9"
runpy.run_path(os.path.abspath(Path(__file__).with_name("stand_in.py")), run_name="__main__")
