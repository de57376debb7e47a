"""Records of identity, and what may be asked of their collections."""

from __future__ import annotations

from kilostack.identity.model.catalog import Endpoint, Region, Service
from kilostack.identity.model.credentials import ApplicationCredential
from kilostack.identity.model.directory import Domain, Project, User
from kilostack.identity.model.roles import Assignment, Implication, Role, implied_by
from kilostack.identity.store import tables
from kilostack.store.database import Tx
from kilostack.store.lists import Collection
from kilostack.store.records import Records

DOMAINS = Records(Domain, tables.DOMAINS, noun="domain")
PROJECTS = Records(Project, tables.PROJECTS, noun="project")
USERS = Records(User, tables.USERS, noun="user")
ROLES = Records(Role, tables.ROLES, noun="role")
IMPLICATIONS = Records(Implication, tables.IMPLICATIONS, noun="implied role", key=("prior_id", "implied_id"))
ASSIGNMENTS = Records(
    Assignment, tables.ASSIGNMENTS, noun="role assignment", key=("user_id", "scope_kind", "scope_id", "role_id")
)
CREDENTIALS = Records(ApplicationCredential, tables.CREDENTIALS, noun="application credential")
REGIONS = Records(Region, tables.REGIONS, noun="region")
SERVICES = Records(Service, tables.SERVICES, noun="service")
ENDPOINTS = Records(Endpoint, tables.ENDPOINTS, noun="endpoint")

_BY_NAME = (("name", False),)
_BY_ID = (("id", False),)
_NAMES = {"id": "id", "name": "name"}

DOMAIN_LIST = Collection(DOMAINS, filters={"name": "name", "enabled": "enabled"}, sorts=_NAMES, default_sort=_BY_NAME)
PROJECT_LIST = Collection(
    PROJECTS,
    filters={
        "id": "id",
        "name": "name",
        "domain_id": "domain_id",
        "parent_id": "parent_id",
        "enabled": "enabled",
    },
    sorts=_NAMES,
    default_sort=_BY_NAME,
)
USER_LIST = Collection(
    USERS,
    filters={"name": "name", "domain_id": "domain_id", "enabled": "enabled"},
    sorts=_NAMES,
    default_sort=_BY_NAME,
)
ROLE_LIST = Collection(ROLES, filters={"name": "name"}, sorts=_NAMES, default_sort=_BY_NAME)
REGION_LIST = Collection(
    REGIONS, filters={"parent_region_id": "parent_region_id"}, sorts={"id": "id"}, default_sort=_BY_ID
)
SERVICE_LIST = Collection(
    SERVICES,
    filters={"name": "name", "type": "type"},
    sorts={"id": "id", "type": "type"},
    default_sort=(("type", False),),
)
ENDPOINT_LIST = Collection(
    ENDPOINTS,
    filters={"interface": "interface", "service_id": "service_id", "region_id": "region_id"},
    sorts={"id": "id"},
    default_sort=_BY_ID,
)
CREDENTIAL_LIST = Collection(
    CREDENTIALS, filters={"name": "name", "user_id": "user_id"}, sorts=_NAMES, default_sort=_BY_NAME
)


async def implied(tx: Tx) -> dict[str, tuple[str, ...]]:
    """Role -> roles that it implies directly."""
    return implied_by(await IMPLICATIONS.where(tx))


async def named_user(tx: Tx, name: str, domain_id: str) -> User | None:
    """The user of that name in a domain."""
    found = await USERS.where(tx, domain_id=domain_id, name=name)
    return found[0] if found else None


async def named_project(tx: Tx, name: str, domain_id: str) -> Project | None:
    """The project of that name in a domain."""
    found = await PROJECTS.where(tx, domain_id=domain_id, name=name)
    return found[0] if found else None


async def named_domain(tx: Tx, name: str) -> Domain | None:
    """The domain of that name."""
    found = await DOMAINS.where(tx, name=name)
    return found[0] if found else None
