"""Domains: what may be changed, and what goes with them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Conflict, Forbidden
from kilostack.core.token import domain_subject
from kilostack.identity.app.documents import check_mutable, check_removable, extra, given, immutable_after, made_up
from kilostack.identity.app.removal import empty_domain
from kilostack.identity.app.resources import Resources
from kilostack.identity.model.projects import Domain, Project
from kilostack.identity.store.projects import DOMAIN_LIST, DOMAINS, PROJECTS
from kilostack.store.database import Tx

#: stands for the domains of users from elsewhere, in any case
_RESERVED_NAME = "federated"
_UUID = re.compile("[0-9a-f]{32}")

#: attributes that mean something to domains and projects
KNOWN = frozenset(
    {"name", "domain_id", "parent_id", "description", "enabled", "tags", "is_domain", "options", "id", "links"}
)


class Domains(Resources[Domain]):
    """A domain is deleted with all that is in it, and only while it is disabled."""

    singular, plural = "domain", "domains"
    records, collection = DOMAINS, DOMAIN_LIST
    domain_filter = "id"
    told_missing = frozenset({"update", "delete"})
    _known = KNOWN | {"explicit_domain_id"}

    async def prepared(self, document: dict[str, Any]) -> dict[str, Any]:
        wanted = document.get("explicit_domain_id")
        if wanted is not None and _UUID.fullmatch(wanted) is None:
            raise BadRequest("Domain ID does not conform to required UUID format.", field="explicit_domain_id")
        return document

    def made(self, ctx: Context, document: dict[str, Any]) -> Domain:
        return Domain(
            id=document.get("explicit_domain_id") or self.ground.new_id(),
            name=document["name"].strip(),
            description=document.get("description", ""),
            enabled=document.get("enabled", True),
            immutable=immutable_after(None, document),
            tags=tuple(document.get("tags", ())),
            extra=made_up(document, self._known),
        )

    def changed(self, record: Domain, document: dict[str, Any]) -> Domain:
        check_mutable(record.immutable, document, "domain", record.id)
        return msgspec.structs.replace(
            record, **changes(record, document), extra=extra(record.extra, document, self._known)
        )

    async def check(self, tx: Tx, record: Domain) -> None:
        if record.name.lower() == _RESERVED_NAME:
            raise BadRequest(f"Domain cannot be named {record.name}.", field="name")
        if await PROJECTS.find(tx, id=record.id) is not None:
            raise Conflict(self.duplicate(record))

    def voids(self, old: Domain, new: Domain) -> Iterable[str]:
        return (domain_subject(old.id),) if old.enabled and not new.enabled else ()

    async def cascade(self, tx: Tx, record: Domain) -> Iterable[str]:
        check_removable(record.immutable, "domain", record.id)
        if record.enabled:
            raise Forbidden("Cannot delete a domain that is enabled, please disable it first.")
        for project in await PROJECTS.where(tx, domain_id=record.id):
            check_removable(project.immutable, "project", project.id)
        return (*await empty_domain(tx, record.id), domain_subject(record.id))

    def duplicate(self, record: Domain) -> str:
        return (
            "Conflict occurred attempting to store project - it is not permitted to have two projects acting as "
            f"domains with the same name: {record.name}."
        )


def changes(record: Domain | Project, document: dict[str, Any]) -> dict[str, Any]:
    """What domains and projects let clients change."""
    values = given(document, "name", "enabled", description=None)
    if "name" in values:
        values["name"] = values["name"].strip()
    if "tags" in document:
        values["tags"] = tuple(document["tags"])
    return values | {"immutable": immutable_after(record.immutable, document)}
