"""What is remembered of a change: who, what, to which thing, from where, under which request id, and how it ended.

Records form a chain: each carries a keyed digest of itself and of the one before, so that a record that is changed,
removed or put in between shows. The key is not in the database: who can write there cannot make the chain anew.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

import msgspec

#: purpose and text -> a keyed digest, as `Vault.digest`
Digest = Callable[[str, str], str]

_LINK, _HEAD = "audit record", "audit head"


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request that changed something, or was to. Never holds a body, a query or a header: secrets are in those."""

    #: microseconds since 1970
    at: int
    request_id: str
    global_request_id: str | None = None
    service: str
    #: method and template of the path, with the key of an action where there is one
    action: str
    #: fields of the path, and ids of what was made
    target: dict[str, str] = {}
    status: int
    #: how it ended: "success", "denied" (401, 403), "failure"
    outcome: str
    user_id: str = ""
    project_id: str = ""
    domain_id: str = ""
    system: bool = False
    roles: tuple[str, ...] = ()
    #: of the token; not the token
    audit_id: str = ""
    #: where the connection came from
    address: str = ""


class Chain:
    """Makes and checks the links."""

    def __init__(self, digest: Digest) -> None:
        self._digest = digest

    def link(self, before: str, seq: int, text: str) -> str:
        """The digest of record `seq`, whose predecessor has the digest `before`."""
        return self._digest(_LINK, f"{before} {seq} {text}")

    def seal(self, seq: int, link: str) -> str:
        """The digest of the statement that the chain ends with record `seq`."""
        return self._digest(_HEAD, f"{link} {seq}")

    @staticmethod
    def is_same(one: str, other: str) -> bool:
        return hmac.compare_digest(one, other)


def outcome(status: int) -> str:
    """How a request ended, by its status."""
    if status < 400:
        return "success"
    return "denied" if status in (401, 403) else "failure"
