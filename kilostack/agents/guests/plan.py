"""What to do next for one guest: a pure function of what it should be and what it is."""

from __future__ import annotations

from enum import StrEnum

from kilostack.drivers.guests.port import Observed, Stop
from kilostack.wire.compute import Guest, GuestReport


class Action(StrEnum):
    """The next step; after it the host is looked at again."""

    SETTLED = "settled"  #: it is what it should be
    PREPARE = "prepare"  #: make its disk
    START = "start"  #: make its disk, wait for its ports, run it
    STOP_SOFT = "stop soft"  #: the power button, and hard when it does not help
    STOP_HARD = "stop hard"
    REMOVE = "remove"
    GONE = "gone"  #: nobody wants it and nothing of it is here


def plan(desired: Guest | None, observed: Observed | None) -> Action:
    """The next step for a guest whose desired state is known; `desired` is None when it should not be here."""
    if desired is None:
        return Action.GONE if observed is None else Action.REMOVE
    if desired.power == "off":
        return _plan_off(observed)
    if observed is None:
        return Action.START
    if observed.is_running:
        # A reboot is a stop and a start with the higher count, so that each count is one run, whatever is cut off.
        if observed.boot >= desired.boot:
            return Action.SETTLED
        return Action.STOP_SOFT if desired.boot_kind == "soft" else Action.STOP_HARD
    if observed.stop is Stop.ITSELF and observed.boot >= desired.boot:
        return Action.SETTLED
    return Action.START


def _plan_off(observed: Observed | None) -> Action:
    if observed is None:
        return Action.PREPARE
    return Action.STOP_SOFT if observed.is_running else Action.SETTLED


def settled_report(desired: Guest, observed: Observed) -> GuestReport:
    """What the control plane is told of a guest that is what it should be."""
    return GuestReport(
        id=desired.id,
        generation=desired.generation,
        state="running" if observed.is_running else "stopped",
        boot=observed.boot,
        stopped_itself=observed.stop is Stop.ITSELF and desired.power == "on",
    )


def failed_report(desired: Guest, observed: Observed | None, fault: str) -> GuestReport:
    """What the control plane is told of a guest that could not be made what it should be."""
    boot = observed.boot if observed is not None else 0
    return GuestReport(id=desired.id, generation=desired.generation, state="failed", boot=boot, fault=fault)


def is_overtaken(before: Guest, after: Guest | None) -> bool:
    """Whether a step under way for `before` serves nothing any more, so that it should be broken off."""
    if after is None:
        return True
    return (before.power, before.boot) != (after.power, after.boot)
