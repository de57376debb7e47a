"""Where a client thinks that it has reached us: through proxies that say so, as well as straight."""

from __future__ import annotations

from collections.abc import Mapping


def root(headers: Mapping[str, str], scheme: str, host: str) -> str:
    """Scheme and authority as the client sees them, with the prefix that a proxy has taken away.

    `scheme` and `host` are those of the connection. Of several proxies the one nearest to the client counts, which is
    the first in each header; `X-Forwarded-*` is taken before `Forwarded` (RFC 7239).
    """
    told = _forwarded(headers.get("forwarded", ""))
    scheme = _first(headers.get("x-forwarded-proto")) or told.get("proto", "") or scheme
    host = _first(headers.get("x-forwarded-host")) or told.get("host", "") or headers.get("host") or host
    return f"{scheme}://{host}{headers.get('x-forwarded-prefix', '').rstrip('/')}"


def _first(text: str | None) -> str:
    return (text or "").split(",")[0].strip()


def _forwarded(text: str) -> dict[str, str]:
    """The pairs of the first element; quotes are taken off."""
    pairs = (part.partition("=") for part in _first(text).split(";"))
    return {name.strip().lower(): value.strip().strip('"') for name, equals, value in pairs if equals}
