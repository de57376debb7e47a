"""Turns what the host says went wrong into words for the owner of a server; the host's own words go to the log."""

from __future__ import annotations

import errno
import logging
from typing import Final

from kilostack.drivers.guests.port import GuestFault

log = logging.getLogger(__name__)

NO_SPACE: Final = "The host has no disk space left for the guest."
NO_MEMORY: Final = "The host has not enough memory for the guest."
NO_HYPERVISOR: Final = "The host cannot run guests: its hypervisor is not installed."
_SIGNS: Final = (
    (("no space left", "disk quota exceeded"), NO_SPACE),
    (("cannot allocate memory", "cannot set up guest memory", "could not allocate"), NO_MEMORY),
    (('failed to get "write" lock', "failed to get shared"), "The guest's disk is in use by another process."),
    (("/dev/net/tun",), "The host could not connect the guest to its network."),
)


def from_os(error: OSError, doing: str) -> GuestFault:
    """The fault for a system call that failed while the host was `doing` something."""
    log.warning("%s failed: %s", doing, error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return GuestFault(NO_SPACE)
    if error.errno == errno.ENOMEM:
        return GuestFault(NO_MEMORY)
    return GuestFault(f"The host failed while {doing}.")


def from_output(output: str, doing: str) -> GuestFault:
    """The fault for a program that ended with an error and printed `output`."""
    log.warning("%s failed: %s", doing, output.strip()[-2000:])
    lower = output.lower()
    for signs, reason in _SIGNS:
        if any(sign in lower for sign in signs):
            return GuestFault(reason)
    return GuestFault(f"The host's hypervisor failed while {doing}.")
