"""Removing projects, users, groups and identity providers with all that hangs on them; few statements however many."""

from __future__ import annotations

from collections.abc import Sequence

from kilostack.core.token import provider_subject, user_subject
from kilostack.identity.app.taking import made_of, made_of_roles
from kilostack.identity.model.federation import FederatedUser
from kilostack.identity.store.access_rules import ACCESS_RULES
from kilostack.identity.store.application_credentials import APPLICATION_CREDENTIALS
from kilostack.identity.store.credentials import CREDENTIALS
from kilostack.identity.store.domain_config import DOMAIN_OPTIONS
from kilostack.identity.store.endpoint_filter import forget_projects
from kilostack.identity.store.federation import (
    FEDERATED_USERS,
    FEDERATION_PROTOCOLS,
    GROUP_VISITS,
    IDENTITY_PROVIDERS,
    REMOTE_IDS,
)
from kilostack.identity.store.groups import GROUPS, MEMBERS
from kilostack.identity.store.limits import forget_owners
from kilostack.identity.store.oauth1 import remove_grants
from kilostack.identity.store.projects import PROJECTS
from kilostack.identity.store.roles import ASSIGNMENTS, IMPLICATIONS, ROLES
from kilostack.identity.store.trusts import remove_trusts_of_projects, remove_trusts_of_users
from kilostack.identity.store.users import USERS, forget_default_projects, forget_users
from kilostack.store.database import Tx


async def empty_domain(tx: Tx, domain_id: str) -> list[str]:
    """Remove all that is in a domain; whose tokens end with it, beyond those of the domain."""
    await remove_projects(tx, [project.id for project in await PROJECTS.where(tx, domain_id=domain_id)])
    subjects = await remove_groups(tx, [group.id for group in await GROUPS.where(tx, domain_id=domain_id)])
    await remove_users(tx, [user.id for user in await USERS.where(tx, domain_id=domain_id)])
    providers = [provider.id for provider in await IDENTITY_PROVIDERS.where(tx, domain_id=domain_id)]
    subjects += await remove_providers(tx, providers)
    await ASSIGNMENTS.delete_where(tx, scope_kind="domain", scope_id=domain_id)
    role_ids = [role.id for role in await ROLES.where(tx, domain_id=domain_id)]
    # a role of one domain may be given on another one, and bring others along there
    subjects += await made_of_roles(tx, role_ids)
    await ASSIGNMENTS.delete_within(tx, "role_id", role_ids)
    await IMPLICATIONS.delete_within(tx, "prior_id", role_ids)
    await IMPLICATIONS.delete_within(tx, "implied_id", role_ids)
    await ROLES.delete_within(tx, "id", role_ids)
    await DOMAIN_OPTIONS.delete_where(tx, domain_id=domain_id)
    await forget_projects(tx, [domain_id])
    await forget_owners(tx, "domain_id", [domain_id])
    return subjects


async def remove_projects(tx: Tx, ids: Sequence[str]) -> None:
    await ASSIGNMENTS.delete_within(tx, "scope_id", ids, scope_kind="project")
    await APPLICATION_CREDENTIALS.delete_within(tx, "project_id", ids)
    await forget_default_projects(tx, ids)
    await CREDENTIALS.delete_within(tx, "project_id", ids)
    await forget_projects(tx, ids)
    await forget_owners(tx, "project_id", ids)
    await remove_trusts_of_projects(tx, ids)
    await remove_grants(tx, "project_id", ids)
    await PROJECTS.delete_within(tx, "id", ids)


async def remove_users(tx: Tx, ids: Sequence[str]) -> None:
    await ASSIGNMENTS.delete_within(tx, "actor_id", ids, actor_kind="user")
    await APPLICATION_CREDENTIALS.delete_within(tx, "user_id", ids)
    await ACCESS_RULES.delete_within(tx, "user_id", ids)
    await MEMBERS.delete_within(tx, "user_id", ids)
    await FEDERATED_USERS.delete_within(tx, "user_id", ids)
    await GROUP_VISITS.delete_within(tx, "user_id", ids)
    await forget_users(tx, ids)
    await CREDENTIALS.delete_within(tx, "user_id", ids)
    await remove_trusts_of_users(tx, ids)
    await remove_grants(tx, "authorizing_user_id", ids)
    await USERS.delete_within(tx, "id", ids)


async def remove_groups(tx: Tx, ids: Sequence[str]) -> list[str]:
    """Groups and what hangs on them; whose tokens were made of their roles."""
    given = [one for one in await ASSIGNMENTS.within(tx, "actor_id", ids) if one.actor_kind == "group"]
    subjects = await made_of(tx, given)
    await ASSIGNMENTS.delete_within(tx, "actor_id", ids, actor_kind="group")
    await MEMBERS.delete_within(tx, "group_id", ids)
    await GROUP_VISITS.delete_within(tx, "group_id", ids)
    await GROUPS.delete_within(tx, "id", ids)
    return subjects


async def remove_providers(tx: Tx, ids: Sequence[str]) -> list[str]:
    """Identity providers, and the users who were here by their word alone; whose tokens end."""
    users = await FEDERATED_USERS.within(tx, "provider_id", ids)
    ended = await forget_visits(tx, ids)
    for records in (FEDERATED_USERS, FEDERATION_PROTOCOLS, REMOTE_IDS):
        await records.delete_within(tx, "provider_id", ids)
    await IDENTITY_PROVIDERS.delete_within(tx, "id", ids)
    return [*ended, *await _remove_shadows(tx, users)]


async def forget_visits(tx: Tx, provider_ids: Sequence[str]) -> list[str]:
    """Take away the groups that providers have named; whose tokens end: those that they vouch for, and those that their
    visitors have made with these groups by keys of their own."""
    visits = await GROUP_VISITS.within(tx, "provider_id", provider_ids)
    await GROUP_VISITS.delete_within(tx, "provider_id", provider_ids)
    visitors = sorted({visit.user_id for visit in visits})
    return [*(provider_subject(one) for one in provider_ids), *(user_subject(one) for one in visitors)]


async def remove_protocol(tx: Tx, provider_id: str, protocol_id: str) -> list[str]:
    """A protocol of an identity provider, and the users who came by it alone; whose tokens end."""
    users = await FEDERATED_USERS.where(tx, provider_id=provider_id, protocol_id=protocol_id)
    await FEDERATED_USERS.delete_where(tx, provider_id=provider_id, protocol_id=protocol_id)
    await GROUP_VISITS.delete_within(tx, "user_id", [user.user_id for user in users], provider_id=provider_id)
    await FEDERATION_PROTOCOLS.delete(tx, provider_id=provider_id, id=protocol_id)
    return [*(user_subject(user.user_id) for user in users), *await _remove_shadows(tx, users)]


async def _remove_shadows(tx: Tx, users: list[FederatedUser]) -> list[str]:
    """Remove users who were here by what has just been removed, and by nothing else; whose tokens end."""
    shadows = {one.user_id for one in users if one.shadow}
    shadows -= {one.user_id for one in await FEDERATED_USERS.within(tx, "user_id", sorted(shadows))}
    await remove_users(tx, sorted(shadows))
    return [user_subject(user_id) for user_id in sorted(shadows)]
