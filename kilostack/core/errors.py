"""What can go wrong, free of transport: `http` renders each kind in the dialect of the service that raised it.

Error
+-- BadRequest          the caller's input; names the field and what would be right
|   +-- TooLarge
+-- Unauthenticated     nobody, or not any more
+-- Forbidden           somebody, but not allowed
|   +-- OverQuota
+-- NotFound            not there, or not for the caller to know of
+-- Conflict            there, but not in a state that allows it
|   +-- Duplicate       a unique name or key is taken
|   +-- StaleGeneration somebody wrote it since it was read
|   +-- IllegalTransition
+-- NotAcceptable       a version that is not offered
+-- Unsupported         a well-known action that this release does not have
+-- Unavailable         not now; may be tried again
+-- Refused             final "no" of a saga step or of a port
"""

from __future__ import annotations

from typing import Any


class Error(Exception):
    """Something that a caller is told. `message` is for their eyes; `kind` is a finer name for some dialects."""

    def __init__(self, message: str, *, kind: str = "", **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.facts = facts


class BadRequest(Error):
    """The input is wrong; `facts["field"]` may name where."""


class TooLarge(BadRequest):
    """The body, the header or the name is longer than the service takes."""


class Unauthenticated(Error):
    """No token, a wrong one, or wrong credentials. The message never says which."""


class Forbidden(Error):
    """Policy says no."""


class OverQuota(Forbidden):
    """A limit of the project would be passed; `facts`: resource, limit, used, requested."""


class NotFound(Error):
    """No such thing, as far as the caller may know."""


class Conflict(Error):
    """The thing is in a state, or in a use, that does not allow it."""


class Duplicate(Conflict):
    """A unique key is taken. Raised by the store; services say it in their own words."""


class StaleGeneration(Conflict):
    """The record was written by somebody else since it was read."""


class IllegalTransition(Conflict):
    """The state machine has no such change."""


class NotAcceptable(Error):
    """A microversion outside `facts["minimum"]`..`facts["maximum"]`."""


class PreconditionFailed(Error):
    """An If-Match that does not match."""


class UnsupportedMedia(Error):
    """A content type that the operation does not take."""


class Unsupported(Error):
    """Known upstream, not offered here; `facts["name"]` names it."""


class Unavailable(Error):
    """Cannot be answered now; trying again is safe. `facts["retry_after_s"]` may say when."""


class Refused(Error):
    """A final no from a step of a saga or from a neighbour: unwind, do not retry."""
