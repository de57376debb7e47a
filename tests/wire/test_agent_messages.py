"""Messages between agent and gateway survive their encoding; digests tell states apart."""

from __future__ import annotations

import msgspec
import pytest

from kilostack.wire import agent
from kilostack.wire.compute import GuestReport
from kilostack.wire.network import PortReport, RouterReport


def test_objects_pass_through_a_state_byte_by_byte() -> None:
    text = b'{"b": 1,  "a":[1,2.50]}'
    state = agent.State(service="compute", changed={"guest/1": msgspec.Raw(text)}, revisions={"guest/1": 3})
    again = agent.read_from_gateway(agent.write(state))
    assert isinstance(again, agent.State)
    assert bytes(again.changed["guest/1"]) == text


def test_a_report_says_what_it_is() -> None:
    reports = [
        GuestReport(id="1", generation=2, state="running"),
        PortReport(id="1", revision=2, state="active"),
        RouterReport(id="1", revision=2, state="down"),
    ]
    kinds = [msgspec.json.decode(agent.report_json(report))["kind"] for report in reports]
    assert kinds == ["guest", "port", "router"]
    assert len({agent.report_key(report) for report in reports}) == 3
    assert msgspec.json.decode(agent.report_json(reports[0]), type=GuestReport) == reports[0]


def test_a_digest_depends_on_every_part_and_not_on_the_order() -> None:
    state = {"a": (1, b"x"), "b": (2, b"y")}
    assert agent.digest(state) == agent.digest(dict(reversed(state.items())))
    others = [{"a": (1, b"x")}, {"a": (2, b"x"), "b": (2, b"y")}, {"a": (1, b"xb"), "b": (2, b"y")}, {}]
    assert len({agent.digest(state), *map(agent.digest, others)}) == 5


def test_what_is_no_message_is_refused() -> None:
    for text in (b"", b"{}", b'{"type":"later"}', b"\xff"):
        with pytest.raises(msgspec.DecodeError):
            agent.read_from_agent(text)
