"""What goes with a domain, a project, a user or a group that is deleted, in the same unit."""

from __future__ import annotations

from kilostack.core.token import provider_subject, user_subject
from kilostack.identity.app.taking import made_of
from kilostack.identity.model.federation import FederatedUser
from kilostack.identity.model.groups import Group
from kilostack.identity.model.projects import Domain, Project
from kilostack.identity.model.users import User
from kilostack.identity.store.access_rules import ACCESS_RULES
from kilostack.identity.store.application_credentials import APPLICATION_CREDENTIALS
from kilostack.identity.store.credentials import CREDENTIALS
from kilostack.identity.store.domain_config import DOMAIN_OPTIONS
from kilostack.identity.store.endpoint_filter import forget_project
from kilostack.identity.store.federation import (
    FEDERATED_USERS,
    FEDERATION_PROTOCOLS,
    GROUP_VISITS,
    IDENTITY_PROVIDERS,
    REMOTE_IDS,
)
from kilostack.identity.store.groups import GROUPS, MEMBERS
from kilostack.identity.store.limits import forget_owner
from kilostack.identity.store.oauth1 import remove_grants
from kilostack.identity.store.projects import PROJECTS
from kilostack.identity.store.roles import ASSIGNMENTS, IMPLICATIONS, ROLES
from kilostack.identity.store.trusts import remove_trusts_of_project, remove_trusts_of_user
from kilostack.identity.store.users import USERS, forget_default_project, forget_user
from kilostack.store.database import Tx


async def remove_domain(tx: Tx, domain: Domain) -> list[str]:
    """All that is in a domain, but not the domain itself; whose tokens end with it, beyond those of the domain."""
    for project in await PROJECTS.where(tx, domain_id=domain.id):
        await remove_project(tx, project)
    subjects: list[str] = []
    for group in await GROUPS.where(tx, domain_id=domain.id):
        subjects += await remove_group(tx, group)
        await GROUPS.delete(tx, id=group.id)
    for user in await USERS.where(tx, domain_id=domain.id):
        await remove_user(tx, user)
    for provider in await IDENTITY_PROVIDERS.where(tx, domain_id=domain.id):
        subjects += await remove_provider(tx, provider.id)
    await ASSIGNMENTS.delete_where(tx, scope_kind="domain", scope_id=domain.id)
    for role in await ROLES.where(tx, domain_id=domain.id):
        # whatever it was given on is gone, for a role of a domain is given in that domain alone
        await IMPLICATIONS.delete_where(tx, prior_id=role.id)
        await IMPLICATIONS.delete_where(tx, implied_id=role.id)
        await ROLES.delete(tx, id=role.id)
    await DOMAIN_OPTIONS.delete_where(tx, domain_id=domain.id)
    await forget_project(tx, domain.id)
    await forget_owner(tx, {"domain_id": domain.id})
    return subjects


async def remove_project(tx: Tx, project: Project) -> None:
    await ASSIGNMENTS.delete_where(tx, scope_kind="project", scope_id=project.id)
    await APPLICATION_CREDENTIALS.delete_where(tx, project_id=project.id)
    await forget_default_project(tx, project.id)
    await CREDENTIALS.delete_where(tx, project_id=project.id)
    await forget_project(tx, project.id)
    await forget_owner(tx, {"project_id": project.id})
    await remove_trusts_of_project(tx, project.id)
    await remove_grants(tx, project_id=project.id)
    await PROJECTS.delete(tx, id=project.id)


async def remove_user(tx: Tx, user: User) -> None:
    await ASSIGNMENTS.delete_where(tx, actor_id=user.id, actor_kind="user")
    await APPLICATION_CREDENTIALS.delete_where(tx, user_id=user.id)
    await ACCESS_RULES.delete_where(tx, user_id=user.id)
    await MEMBERS.delete_where(tx, user_id=user.id)
    await FEDERATED_USERS.delete_where(tx, user_id=user.id)
    await GROUP_VISITS.delete_where(tx, user_id=user.id)
    await forget_user(tx, user.id)
    await CREDENTIALS.delete_where(tx, user_id=user.id)
    await remove_trusts_of_user(tx, user.id)
    await remove_grants(tx, authorizing_user_id=user.id)
    await USERS.delete(tx, id=user.id)


async def remove_group(tx: Tx, group: Group) -> list[str]:
    """What hangs on a group, but not the group itself; whose tokens were made of its roles."""
    given = await ASSIGNMENTS.where(tx, actor_kind="group", actor_id=group.id)
    subjects = await made_of(tx, given)
    await ASSIGNMENTS.delete_where(tx, actor_kind="group", actor_id=group.id)
    await MEMBERS.delete_where(tx, group_id=group.id)
    await GROUP_VISITS.delete_where(tx, group_id=group.id)
    return subjects


async def remove_provider(tx: Tx, provider_id: str) -> list[str]:
    """An identity provider, and the users who were here by its word alone; whose tokens end."""
    users = await FEDERATED_USERS.where(tx, provider_id=provider_id)
    await FEDERATED_USERS.delete_where(tx, provider_id=provider_id)
    await GROUP_VISITS.delete_where(tx, provider_id=provider_id)
    await FEDERATION_PROTOCOLS.delete_where(tx, provider_id=provider_id)
    await REMOTE_IDS.delete_where(tx, provider_id=provider_id)
    await IDENTITY_PROVIDERS.delete(tx, id=provider_id)
    return [provider_subject(provider_id), *await _remove_shadows(tx, users)]


async def remove_protocol(tx: Tx, provider_id: str, protocol_id: str) -> list[str]:
    """A protocol of an identity provider, and the users who came by it alone; whose tokens end."""
    users = await FEDERATED_USERS.where(tx, provider_id=provider_id, protocol_id=protocol_id)
    await FEDERATED_USERS.delete_where(tx, provider_id=provider_id, protocol_id=protocol_id)
    await FEDERATION_PROTOCOLS.delete(tx, provider_id=provider_id, id=protocol_id)
    return [*(user_subject(user.user_id) for user in users), *await _remove_shadows(tx, users)]


async def _remove_shadows(tx: Tx, users: list[FederatedUser]) -> list[str]:
    """Remove users who were here by what has just been removed, and by nothing else; whose tokens end."""
    ended: list[str] = []
    for one in users:
        if not one.shadow or await FEDERATED_USERS.count(tx, user_id=one.user_id):
            continue
        if (user := await USERS.find(tx, id=one.user_id)) is not None:
            await remove_user(tx, user)
            ended.append(user_subject(user.id))
    return ended
