"""Bodies of requests: which attributes a resource takes, and what a caller is told about the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.network import failures
from kilostack.network.model.values import Reader, Wrong, shown, string

_PROJECT = string()
#: read only to be refused when they have a value
_UNUSED = frozenset(
    ("ipv6_ra_mode", "ipv6_address_mode", "subnetpool_id", "remote_address_group_id", "binding:vnic_type")
)
_OWNER = ("project_id", "tenant_id")
#: items of one bulk request
MOST_AT_ONCE = 1000


class Attribute(msgspec.Struct, frozen=True, kw_only=True):
    """One attribute that clients may send."""

    name: str
    read: Reader
    #: may be given when the resource is created, and must be
    post: bool = True
    required: bool = False
    #: may be changed
    put: bool = False


class Attributes:
    """The attributes of one resource; `others` are shown, but never sent."""

    def __init__(
        self, noun: str, plural: str, attributes: Sequence[Attribute], others: Sequence[str], *, owned: bool = True
    ) -> None:
        self.noun, self.plural = noun, plural
        self._known = {attribute.name: attribute for attribute in attributes}
        self._others = frozenset((*others, "project_id", "tenant_id"))
        self._owned = owned

    def created(self, document: Any, ctx: Context) -> tuple[list[dict[str, Any]], bool]:
        """The items of a POST, and whether they came as a list."""
        if isinstance(document, dict) and self.plural in document:
            items = document[self.plural]
            if not isinstance(items, list) or not items:
                raise failures.malformed("Resources required")
            if len(items) > MOST_AT_ONCE:
                raise failures.malformed(f"At most {MOST_AT_ONCE} {self.plural} can be created at once")
            return [self._new(item, ctx) for item in items], True
        return [self._new(self._inner(document), ctx)], False

    def changed(self, document: Any) -> dict[str, Any]:
        """The attributes of a PUT."""
        item = self._inner(document)
        given = self._read(item, "PUT")
        for name in given:
            if not self._known[name].put:
                raise failures.malformed(f"Cannot update read-only attribute {name}")
        return given

    def _inner(self, document: Any) -> dict[str, Any]:
        if not isinstance(document, dict):
            raise failures.malformed("Body contains invalid data")
        if self.noun not in document:
            raise failures.malformed(f"Unable to find '{self.noun}' in request body")
        item = document[self.noun]
        if not isinstance(item, dict):
            raise failures.malformed("Body contains invalid data")
        return item

    def _new(self, item: Any, ctx: Context) -> dict[str, Any]:
        if not isinstance(item, dict):
            raise failures.malformed("Body contains invalid data")
        if self.noun in item and isinstance(item[self.noun], dict):
            item = item[self.noun]
        owner = _owner(item, ctx) if self._owned else {}
        rest = {name: value for name, value in item.items() if not (self._owned and name in _OWNER)}
        given = self._read(rest, "POST")
        for name, attribute in self._known.items():
            if name in given and not attribute.post:
                raise failures.malformed(f"Attribute '{name}' not allowed in POST")
            if attribute.required and name not in given:
                raise failures.malformed(f"Failed to parse request. Required attribute '{name}' not specified")
        return given | owner

    def _read(self, item: dict[str, Any], method: str) -> dict[str, Any]:
        unknown = [name for name in item if name not in self._known]
        if unknown and unknown[0] in self._others:
            if method == "POST":
                raise failures.malformed(f"Attribute '{unknown[0]}' not allowed in POST")
            raise failures.malformed(f"Cannot update read-only attribute {unknown[0]}")
        if unknown:
            raise failures.malformed(f"Unrecognized attribute(s) '{shown(', '.join(unknown))}'")
        given = {}
        for name, value in item.items():
            try:
                given[name] = self._known[name].read(value)
            except Wrong as error:
                raise failures.malformed(f"Invalid input for {name}. Reason: {error}.") from None
        return {name: value for name, value in given.items() if name not in _UNUSED}


def _owner(item: dict[str, Any], ctx: Context) -> dict[str, Any]:
    """The project of a new resource: the caller's, unless an administrator names another."""
    given = [item[name] for name in _OWNER if name in item]
    if len(given) == 2 and given[0] != given[1]:
        raise failures.malformed("'project_id' and 'tenant_id' do not match")
    if not given:
        if not ctx.project_id:
            raise failures.malformed("Running without keystone AuthN requires that project_id is specified")
        return {"project_id": ctx.project_id}
    try:
        project_id = _PROJECT(given[0])
    except Wrong as error:
        raise failures.malformed(f"Invalid input for project_id. Reason: {error}.") from None
    if project_id != ctx.project_id and not ctx.is_admin and "service" not in ctx.roles:
        raise failures.malformed(
            "Specifying 'project_id' or 'tenant_id' other than the authenticated project in request requires admin "
            "privileges"
        )
    return {"project_id": project_id}
