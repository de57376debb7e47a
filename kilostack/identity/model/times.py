"""Times as clients write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros_of(text: str) -> int:
    """Microseconds since 1970 of a time in ISO 8601, in UTC unless it names a zone. Raises `ValueError`."""
    moment = datetime.fromisoformat(text)
    try:
        return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)
    except OverflowError:
        raise ValueError(text) from None
