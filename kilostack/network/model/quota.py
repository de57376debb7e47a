"""What is counted per project, and how much of it a project may have."""

from __future__ import annotations

from typing import Literal, get_args

Counted = Literal["network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule"]
COUNTED: tuple[Counted, ...] = get_args(Counted)
UNLIMITED = -1
DEFAULTS: dict[str, int] = {
    "network": 100,
    "subnet": 100,
    "port": 500,
    "router": 10,
    "floatingip": 50,
    "security_group": 10,
    "security_group_rule": 100,
}
