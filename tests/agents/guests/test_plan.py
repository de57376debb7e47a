"""The plan for one guest: each step makes sense where it is taken, and following the plan ends settled."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilostack.agents.guests.plan import Action, is_overtaken, plan, settled_report
from kilostack.drivers.guests.port import Observed, Stop
from kilostack.wire.compute import Guest, ImageRef, Metadata

GUEST = "00000001-1111-4222-8333-444444444444"


def guest(**changes: Any) -> Guest:
    fields: dict[str, Any] = {
        "id": GUEST,
        "generation": 1,
        "name": "one",
        "vcpus": 1,
        "memory_mib": 128,
        "disk_gib": 1,
        "image": ImageRef(id="image", disk_format="qcow2", size_bytes=1, sha512="00" * 64),
        "nics": (),
        "power": "on",
        "boot": 1,
        "metadata": Metadata(hostname="one", name="one", project_id="p", user_id="u", availability_zone="nova"),
    }
    return Guest(**(fields | changes))


def seen(boot: int, stop: Stop | None) -> Observed:
    return Observed(id=GUEST, boot=boot, stop=stop)


@pytest.mark.parametrize(
    ("desired", "observed", "action"),
    [
        (None, None, Action.GONE),
        (None, seen(1, None), Action.REMOVE),
        (None, seen(0, Stop.NEVER_STARTED), Action.REMOVE),
        (guest(), None, Action.START),
        (guest(), seen(0, Stop.NEVER_STARTED), Action.START),
        (guest(), seen(1, None), Action.SETTLED),
        (guest(), seen(2, None), Action.SETTLED),
        (guest(), seen(1, Stop.DIED), Action.START),
        (guest(), seen(1, Stop.ASKED), Action.START),
        (guest(), seen(1, Stop.ITSELF), Action.SETTLED),
        (guest(boot=2), seen(1, Stop.ITSELF), Action.START),
        (guest(boot=2), seen(1, None), Action.STOP_HARD),
        (guest(boot=2, boot_kind="soft"), seen(1, None), Action.STOP_SOFT),
        (guest(boot=2, boot_kind="soft"), seen(1, Stop.ASKED), Action.START),
        (guest(power="off"), None, Action.PREPARE),
        (guest(power="off"), seen(1, None), Action.STOP_SOFT),
        (guest(power="off", boot=3), seen(1, None), Action.STOP_SOFT),
        (guest(power="off"), seen(1, Stop.DIED), Action.SETTLED),
        (guest(power="off"), seen(0, Stop.NEVER_STARTED), Action.SETTLED),
    ],
)
def test_each_case(desired: Guest | None, observed: Observed | None, action: Action) -> None:
    assert plan(desired, observed) is action


def applied(action: Action, desired: Guest | None, observed: Observed | None) -> Observed | None:
    """What a driver makes of a step."""
    match action:
        case Action.REMOVE:
            return None
        case Action.PREPARE:
            return observed or seen(0, Stop.NEVER_STARTED)
        case Action.START:
            assert desired is not None
            assert observed is None or not observed.is_running
            return seen(desired.boot, None)
        case Action.STOP_SOFT | Action.STOP_HARD:
            assert observed is not None
            assert observed.is_running
            return seen(observed.boot, Stop.ASKED)
    raise AssertionError(action)


@given(
    desired=st.none()
    | st.builds(
        guest,
        power=st.sampled_from(["on", "off"]),
        boot=st.integers(0, 3),
        boot_kind=st.sampled_from(["soft", "hard"]),
    ),
    observed=st.none() | st.builds(seen, st.integers(0, 3), st.none() | st.sampled_from(Stop)),
)
def test_following_the_plan_ends_settled_in_three_steps(desired: Guest | None, observed: Observed | None) -> None:
    for _ in range(3):
        action = plan(desired, observed)
        if action in (Action.SETTLED, Action.GONE):
            break
        observed = applied(action, desired, observed)
    else:
        raise AssertionError("not settled")
    assert (action is Action.GONE) == (desired is None)
    if desired is not None:
        assert observed is not None
        report = settled_report(desired, observed)
        assert report.state == "running" or desired.power == "off" or report.stopped_itself


def test_only_what_changes_the_course_breaks_a_step_off() -> None:
    assert is_overtaken(guest(), None)
    assert is_overtaken(guest(), guest(power="off"))
    assert is_overtaken(guest(), guest(boot=2))
    assert not is_overtaken(guest(), guest(generation=2, name="other"))
