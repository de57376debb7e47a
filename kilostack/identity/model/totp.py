"""One-time passcodes by time, as RFC 6238 makes them: six digits of HMAC-SHA1, a new one every 30 seconds."""

from __future__ import annotations

import base64
import binascii
import hmac

_STEP_S = 30
_DIGITS = 6
#: in bytes, as RFC 4226 demands: the passcodes of a shorter one could be found out
_SHORTEST_KEY = 16
#: how many steps before the current one are taken: clocks differ, and people are slow
_STEPS_BEFORE = 1


def step_of(passcode: str, seed: str, now: int) -> int | None:
    """The time step, the current or the one before, whose passcode this is; None for a wrong one.

    `seed` is text in base32, with padding or without; `now` is in microseconds since 1970.
    """
    try:
        key = base64.b32decode(seed + "=" * (-len(seed) % 8))
    except (binascii.Error, ValueError):
        return None
    if len(key) < _SHORTEST_KEY:
        return None
    current = now // (_STEP_S * 1_000_000)
    found = None
    for step in range(current, current - _STEPS_BEFORE - 1, -1):
        # every one is looked at, so that the time tells nothing
        if hmac.compare_digest(passcode_at(key, step).encode(), passcode.encode("utf-8", "replace")) and found is None:
            found = step
    return found


def passcode_at(key: bytes, step: int) -> str:
    """The passcode of one time step."""
    digest = hmac.digest(key, step.to_bytes(8, "big"), "sha1")
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**_DIGITS:0{_DIGITS}d}"
