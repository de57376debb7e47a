"""Log lines and metrics, as those read them who look for a fault."""

from __future__ import annotations

import json
import logging

from kilostack.core.telemetry import JsonLines, Metrics


def line(**extra: object) -> dict[str, object]:
    record = logging.makeLogRecord(
        {"msg": "made %s", "args": ("x",), "levelname": "INFO", "name": "kilostack.a", **extra}
    )
    return dict(json.loads(JsonLines("conductor").format(record)))


def test_a_line_is_one_json_object_with_every_id_that_was_given() -> None:
    told = line(request_id="req-1", resource_id="s-1", project_id=None)
    assert told["message"] == "made x"
    assert (told["role"], told["request_id"], told["resource_id"]) == ("conductor", "req-1", "s-1")
    assert "project_id" not in told and "args" not in told


def test_a_value_that_is_no_json_is_told_as_text() -> None:
    assert line(place=("dhcp", "n1"))["place"] == "('dhcp', 'n1')"


def test_metrics_are_openmetrics() -> None:
    metrics = Metrics()
    metrics.requests.add("compute", "GET", "200")
    metrics.requests.add("compute", "GET", "200")
    metrics.request_seconds.observe(0.02, "compute")
    text = metrics.text()
    assert 'kilostack_http_requests_total{service="compute",method="GET",status="200"} 2' in text
    assert 'kilostack_http_request_seconds_bucket{service="compute",le="0.01"} 0' in text
    assert 'kilostack_http_request_seconds_bucket{service="compute",le="0.05"} 1' in text
    assert 'kilostack_http_request_seconds_bucket{service="compute",le="+Inf"} 1' in text
    assert text.endswith("# EOF\n")
