"""What a client's document asks for: the values it gives, what it made up, and what must not change."""

from __future__ import annotations

from typing import Any

from kilostack.core.errors import BadRequest, Forbidden


def given(document: dict[str, Any], *names: str, **when_null: Any) -> dict[str, Any]:
    """The values that a document gives; null stands for the value in `when_null`."""
    values = {name: document[name] for name in names if document.get(name) is not None}
    for name, empty in when_null.items():
        if name in document:
            values[name] = empty if document[name] is None else document[name]
    return values


def made_up(document: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The attributes of something new that clients made up, under the names that upstream keeps them by.

    None gets the name of one that means more.
    """
    names = {name: name.replace(":", "_").replace("-", "_") for name in document if name not in known}
    return {name if new in known else new: document[name] for name, new in names.items()}


def extra(before: dict[str, Any], document: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The attributes that clients made up, as they are after a change by `document`."""
    return before | {name: value for name, value in document.items() if name not in known}


def check_fixed(current: str, document: dict[str, Any], name: str, shown: str) -> None:
    """Raise `BadRequest` when a document wants another value for what never changes."""
    if document.get(name) not in (None, current):
        raise BadRequest(f"Cannot change {shown}.", field=name)


def check_own_id(record_id: str, document: dict[str, Any]) -> None:
    """Raise `BadRequest` when a document gives another id than the record's; of these kinds null is another one."""
    if document.get("id", record_id) != record_id:
        raise BadRequest("Cannot change ID", field="id")


def check_mutable(immutable: bool | None, document: dict[str, Any], kind: str, record_id: str) -> None:
    """Raise `Forbidden` for a change of what is immutable; only to make it mutable is allowed, and nothing with it."""
    if not immutable:
        return
    options = document.get("options") or {}
    if set(document) != {"options"} or options.get("immutable", True):
        raise _immutable("update", kind, record_id)


def check_removable(immutable: bool | None, kind: str, record_id: str) -> None:
    """Raise `Forbidden` for the removal of what is immutable."""
    if immutable:
        raise _immutable("delete", kind, record_id)


def _immutable(verb: str, kind: str, record_id: str) -> Forbidden:
    return Forbidden(
        f'Unable to {verb} immutable {kind} resource: {record_id}. Set the option "immutable" to false first.'
    )


def immutable_after(before: bool | None, document: dict[str, Any]) -> bool | None:
    """The option as it is after a document; null takes it away."""
    return (document.get("options") or {}).get("immutable", before) if "options" in document else before
