"""Ends a test run with one line that counts, and says what was left out and why. Loaded by `-p tests.tally`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

LAST_LINE = Path(__file__).parent.parent / ".cache" / "tally"


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    where = report.longrepr
    return str(where[2]).removeprefix("Skipped: ") if isinstance(where, tuple) else "no reason given"


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Keep the line; it is printed when everything else has been."""
    stats = terminalreporter.stats
    passed = len(stats.get("passed", []))
    failed = len(stats.get("failed", [])) + len(stats.get("error", []))
    skipped = stats.get("skipped", [])
    reasons = Counter(map(_reason, skipped))
    left_out = "; ".join(f"{count} left out: {reason}" for reason, count in reasons.most_common())
    line = f"{passed} passed, {failed} failed, {len(skipped)} skipped" + (f" ({left_out})" if left_out else "")
    LAST_LINE.parent.mkdir(exist_ok=True)
    LAST_LINE.write_text(line + "\n")


def pytest_unconfigure() -> None:
    """The last thing that is said."""
    if LAST_LINE.exists():
        print(LAST_LINE.read_text(), end="")
