"""Records as the API shows them. `base` is what links start with, up to and including /v3."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from kilostack.core.token import Claims
from kilostack.identity.app.credentials import Full
from kilostack.identity.app.roles import Names
from kilostack.identity.model.catalog import Endpoint, Region, Service, resolved
from kilostack.identity.model.directory import Domain, Project, User
from kilostack.identity.model.roles import Effective, Role

Shown = dict[str, Any]


def time(micros: int) -> str:
    """As identity shows times: with microseconds and a Z."""
    moment = datetime.fromtimestamp(micros // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{micros % 1_000_000:06d}Z"


def _links(base: str, plural: str, record_id: str) -> Shown:
    return {"self": f"{base}/{plural}/{record_id}"}


def domain(record: Domain, base: str) -> Shown:
    return {
        "id": record.id,
        "name": record.name,
        "description": record.description,
        "enabled": record.enabled,
        "tags": [],
        "options": {},
        "links": _links(base, "domains", record.id),
    }


def project(record: Project, base: str) -> Shown:
    return {
        **record.extra,
        "id": record.id,
        "name": record.name,
        "domain_id": record.domain_id,
        "parent_id": record.parent_id,
        "description": record.description,
        "enabled": record.enabled,
        "is_domain": False,
        "tags": record.tags,
        "options": {},
        "links": _links(base, "projects", record.id),
    }


def user(record: User, base: str) -> Shown:
    shown = {
        **record.extra,
        "id": record.id,
        "name": record.name,
        "domain_id": record.domain_id,
        "enabled": record.enabled,
        "password_expires_at": None,
        "options": {},
        "links": _links(base, "users", record.id),
    }
    if record.default_project_id is not None:
        shown["default_project_id"] = record.default_project_id
    return shown


def role(record: Role, base: str) -> Shown:
    return {
        "id": record.id,
        "name": record.name,
        "domain_id": None,
        "description": record.description,
        "options": {"immutable": True} if record.immutable else {},
        "links": _links(base, "roles", record.id),
    }


def region(record: Region, base: str) -> Shown:
    return {
        "id": record.id,
        "description": record.description,
        "parent_region_id": record.parent_region_id,
        "links": _links(base, "regions", record.id),
    }


def service(record: Service, base: str) -> Shown:
    shown = {
        "id": record.id,
        "type": record.type,
        "name": record.name,
        "enabled": record.enabled,
        "links": _links(base, "services", record.id),
    }
    if record.description is not None:
        shown["description"] = record.description
    return shown


def endpoint(record: Endpoint, base: str, root: str) -> Shown:
    return {
        "id": record.id,
        "service_id": record.service_id,
        "interface": record.interface,
        "url": resolved(record, root),
        "region": record.region_id,
        "region_id": record.region_id,
        "enabled": record.enabled,
        "links": _links(base, "endpoints", record.id),
    }


def credential(full: Full, base: str) -> Shown:
    record = full.credential
    return {
        "id": record.id,
        "name": record.name,
        "description": record.description,
        "project_id": record.project_id,
        "user_id": record.user_id,
        "system": None,
        "roles": [{"id": one.id, "name": one.name, "domain_id": None} for one in full.roles],
        # alone among identity's times it has no zone
        "expires_at": None if record.expires_at is None else time(record.expires_at).removesuffix("Z"),
        "unrestricted": record.unrestricted,
        "links": _links(base, f"users/{record.user_id}/application_credentials", record.id),
    }


def token(claims: Claims) -> Shown:
    """Without the catalog."""
    shown: Shown = {
        "methods": claims.methods,
        "user": {
            "domain": {"id": claims.user_domain_id, "name": claims.user_domain_name},
            "id": claims.user_id,
            "name": claims.user_name,
            "password_expires_at": None,
        },
        "audit_ids": claims.audit_ids,
        "expires_at": time(claims.expires_at),
        "issued_at": time(claims.issued_at),
    }
    if claims.project_id:
        shown["project"] = {
            "domain": {"id": claims.project_domain_id, "name": claims.project_domain_name},
            "id": claims.project_id,
            "name": claims.project_name,
        }
        shown["is_domain"] = False
    if claims.domain_id:
        shown["domain"] = {"id": claims.domain_id, "name": claims.domain_name}
    if claims.system:
        shown["system"] = {"all": True}
    if claims.is_scoped:
        shown["roles"] = [{"id": role_id, "name": name} for role_id, name in claims.roles]
    if claims.credential_id:
        shown["application_credential"] = {
            "id": claims.credential_id,
            "name": claims.credential_name,
            "restricted": not claims.unrestricted,
        }
    return shown


def assignment(each: Effective, names: Names | None, base: str) -> Shown:
    """One role assignment; with names when they are given."""
    made, kind = each.assignment, each.assignment.scope_kind
    where = "system" if kind == "system" else f"{kind}s/{made.scope_id}"
    links = {"assignment": f"{base}/{where}/users/{made.user_id}/roles/{made.role_id}"}
    if each.prior_id is not None:
        links["prior_role"] = f"{base}/roles/{each.prior_id}/implies/{each.role_id}"
    shown: Shown = {"links": links, "role": {"id": each.role_id}, "user": {"id": made.user_id}}
    shown["scope"] = {"system": {"all": True}} if kind == "system" else {kind: {"id": made.scope_id}}
    if names is not None:
        _name(shown, each, names)
    return shown


def _name(shown: Shown, each: Effective, names: Names) -> None:
    made = each.assignment
    if (one := names.roles.get(each.role_id)) is not None:
        shown["role"]["name"] = one.name
    if (who := names.users.get(made.user_id)) is not None:
        shown["user"] |= {"name": who.name, "domain": _domain_name(who.domain_id, names)}
    if made.scope_kind == "project" and (where := names.projects.get(made.scope_id)) is not None:
        shown["scope"]["project"] |= {"name": where.name, "domain": _domain_name(where.domain_id, names)}
    if made.scope_kind == "domain":
        shown["scope"]["domain"] = _domain_name(made.scope_id, names)


def _domain_name(domain_id: str, names: Names) -> Shown:
    found = names.domains.get(domain_id)
    return {"id": domain_id} | ({} if found is None else {"name": found.name})
