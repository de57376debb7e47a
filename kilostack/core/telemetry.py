"""What a process tells of itself: JSON log lines, and metrics in OpenMetrics text.

Every line carries the ids that its record was given (`extra={"request_id": ...}`), so that one request can be followed
from the client to the host. Secrets never reach a record: type `Secret` has no text.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable

import msgspec

#: what every record has; anything else was given by the caller as `extra`
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_encode = msgspec.json.Encoder().encode


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, logger, process role, message, ids, traceback."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "logger": record.name,
            "role": self._role,
            "message": record.getMessage(),
        }
        for name, value in record.__dict__.items():
            if name not in _OWN and value is not None:
                line[name] = value if isinstance(value, int | float | str) else str(value)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _encode(line).decode()


def log_to_stderr(role: str, level: int = logging.INFO) -> None:
    """Send this process's log to standard error as JSON lines; the supervisor keeps it in a file of bounded size."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(role))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


class Counter:
    """A number that only rises, by label values."""

    def __init__(self, name: str, text: str, labels: tuple[str, ...] = ()) -> None:
        self.name, self.text, self.labels = name, text, labels
        self._values: dict[tuple[str, ...], float] = {} if labels else {(): 0.0}

    def add(self, *labels: str, by: float = 1.0) -> None:
        self._values[labels] = self._values.get(labels, 0.0) + by

    def value(self, *labels: str) -> float:
        return self._values.get(labels, 0.0)

    def lines(self) -> Iterable[str]:
        yield f"# TYPE {self.name} counter"
        yield f"# HELP {self.name} {self.text}"
        for labels, value in self._values.items():
            yield f"{self.name}_total{_labels(self.labels, labels)} {value:g}"


class Gauge:
    """A number as it is now."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text
        self.now = 0.0

    def lines(self) -> Iterable[str]:
        yield f"# TYPE {self.name} gauge"
        yield f"# HELP {self.name} {self.text}"
        yield f"{self.name} {self.now:g}"


class Histogram:
    """How often something took how long, in seconds."""

    BOUNDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)

    def __init__(self, name: str, text: str, labels: tuple[str, ...] = ()) -> None:
        self.name, self.text, self.labels = name, text, labels
        self._rows: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}

    def observe(self, seconds: float, *labels: str) -> None:
        row = self._rows.get(labels)
        if row is None:
            row = self._rows[labels] = ([0] * (len(self.BOUNDS) + 1), [0.0])
        buckets, total = row
        total[0] += seconds
        for at, bound in enumerate(self.BOUNDS):
            if seconds <= bound:
                buckets[at] += 1
                return
        buckets[-1] += 1

    def lines(self) -> Iterable[str]:
        yield f"# TYPE {self.name} histogram"
        yield f"# HELP {self.name} {self.text}"
        for labels, (buckets, total) in self._rows.items():
            count = 0
            for bound, amount in zip((*map(str, self.BOUNDS), "+Inf"), buckets, strict=True):
                count += amount
                yield f"{self.name}_bucket{_labels((*self.labels, 'le'), (*labels, bound))} {count}"
            yield f"{self.name}_sum{_labels(self.labels, labels)} {total[0]:g}"
            yield f"{self.name}_count{_labels(self.labels, labels)} {count}"


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    if not names:
        return ""
    pairs = (f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return "{" + ",".join(pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Metrics:
    """The metrics of one process; names are `kilostack_<subsystem>_<thing>_<unit>`."""

    def __init__(self) -> None:
        self.requests = Counter("kilostack_http_requests", "Requests answered.", ("service", "method", "status"))
        self.request_seconds = Histogram("kilostack_http_request_seconds", "Time to answer.", ("service",))
        self.sagas_alive = Gauge("kilostack_sagas_alive", "Sagas that have not ended.")
        self.hosts_connected = Gauge("kilostack_hosts_connected", "Hosts whose agent is connected.")
        self.loop_lag_seconds = Gauge("kilostack_loop_lag_seconds", "How late the event loop ran its last timer.")

    def text(self) -> str:
        """All of it, as OpenMetrics wants it."""
        parts = (self.requests, self.request_seconds, self.sagas_alive, self.hosts_connected, self.loop_lag_seconds)
        return "\n".join(line for part in parts for line in part.lines()) + "\n# EOF\n"
