"""Where a client thinks that it has reached us: through proxies that say so, as well as straight."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: what goes into links and headers: whoever sends anything else is answered as if they had not
_HOST = re.compile(r"[A-Za-z0-9._~%:\[\]-]{1,255}")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~%-]+)*")
_LONGEST_PREFIX = 255


def root(headers: Mapping[str, str], scheme: str, host: str) -> str:
    """Scheme and authority as the client sees them, with the prefix that a proxy has taken away.

    `scheme` and `host` are those of the connection. Of several proxies the one nearest to the client counts, which is
    the first in each header; `X-Forwarded-*` is taken before `Forwarded` (RFC 7239).
    """
    told = _forwarded(headers.get("forwarded", ""))
    said = (_first(headers.get("x-forwarded-proto")) or told.get("proto", "")).lower()
    scheme = said if said in ("http", "https") else scheme
    hosts = (_first(headers.get("x-forwarded-host")), told.get("host", ""), headers.get("host", ""))
    host = next((one for one in hosts if _HOST.fullmatch(one)), host)
    prefix = headers.get("x-forwarded-prefix", "").rstrip("/")
    sane = len(prefix) <= _LONGEST_PREFIX and _PREFIX.fullmatch(prefix) is not None
    return f"{scheme}://{host}{prefix if sane else ''}"


def _first(text: str | None) -> str:
    return (text or "").split(",")[0].strip()


def _forwarded(text: str) -> dict[str, str]:
    """The pairs of the first element; quotes are taken off."""
    pairs = (part.partition("=") for part in _first(text).split(";"))
    return {name.strip().lower(): value.strip().strip('"') for name, equals, value in pairs if equals}
