"""Entry of `python -m kilostack.cli`, the way in which the program starts itself again."""

from __future__ import annotations

import sys

from kilostack.cli.main import main

sys.exit(main())
