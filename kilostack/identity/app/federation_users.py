"""Users from elsewhere: who they are here, from their first visit on, and what the mapping gives them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from kilostack.core.errors import Duplicate, Forbidden, NotFound, Unauthenticated
from kilostack.core.token import user_subject
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.projects import Projects
from kilostack.identity.app.proof import REJECTED
from kilostack.identity.app.taking import made_of
from kilostack.identity.model.assignments import Assignment
from kilostack.identity.model.federation import FederatedUser, GroupVisit, IdentityProvider
from kilostack.identity.model.federation_rules import SYNCHRONIZES, Mapped, MappedDomain, MappedProject
from kilostack.identity.model.projects import Project
from kilostack.identity.model.roles import Role
from kilostack.identity.model.users import User
from kilostack.identity.store.federation import FEDERATED_USERS, GROUP_VISITS
from kilostack.identity.store.groups import GROUPS
from kilostack.identity.store.projects import DOMAINS, named_domain, named_project
from kilostack.identity.store.roles import ASSIGNMENTS, ROLES
from kilostack.identity.store.tokens import revoke
from kilostack.identity.store.users import USERS, mark_active, named_user
from kilostack.store.database import Tx

_LOG = logging.getLogger("kilostack.identity")
_LONGEST = 255
_LONGEST_PROJECT = 64

_replace = msgspec.structs.replace


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody has come with the word of a provider, and a mapping has said who that is."""

    provider: IdentityProvider
    protocol_id: str
    schema_version: str
    mapped: Mapped
    #: what the provider calls them when the mapping does not say
    remote_user: str


class _Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What is made before the unit of work that admits somebody."""

    #: if they have never been here
    known: FederatedUser
    project_ids: tuple[str, ...]
    now: int
    until: int


class Admitted(msgspec.Struct, frozen=True):
    """Who it is here, and the groups that they bring."""

    user_id: str
    group_ids: tuple[str, ...] = ()


class FederatedUsers:
    """Makes and refreshes the users that mappings describe."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._projects = Projects(ground)

    async def admit(self, visit: Visit) -> Admitted:
        """The user of a visit, made if need be. Raises `Unauthenticated` when the mapping names what is not there."""
        name = visit.mapped.user.name or visit.remote_user or visit.mapped.user.id or ""
        known = FederatedUser(
            provider_id=visit.provider.id,
            protocol_id=visit.protocol_id,
            unique_id=quote(visit.mapped.user.id or name),
            user_id=self._ground.new_id(),
            display_name=name,
            shadow=True,
        )
        if not name or len(name) > _LONGEST or len(known.unique_id) > _LONGEST:
            raise _refused(visit.provider, "the user has no name, or too long a one")
        arrival = _Arrival(
            known=known,
            project_ids=tuple(self._ground.new_id() for _ in visit.mapped.projects),
            now=self._ground.world.now(),
            until=self._ground.until(),
        )

        async def unit(tx: Tx) -> Admitted:
            return await self._admitted(tx, visit, arrival)

        try:
            return await self._ground.db.write(unit)
        except Duplicate:
            # somebody with the same name, or they themselves, came first at the same moment
            return await self._ground.db.write(unit)

    async def local(self, visit: Visit) -> Admitted:
        """One of our own users. Raises `Unauthenticated` when the mapping names nobody."""
        wanted = visit.mapped.user

        async def unit(tx: Tx) -> User | None:
            if wanted.name is None:
                return await USERS.find(tx, id=wanted.id or "")
            domain_id = await _domain_id(tx, visit.provider, wanted.domain)
            return await named_user(tx, wanted.name, domain_id)

        if (user := await self._ground.db.read(unit)) is None:
            raise _refused(visit.provider, "the mapping names a local user who is not there")
        return Admitted(user.id)

    async def _admitted(self, tx: Tx, visit: Visit, arrival: _Arrival) -> Admitted:
        provider, known, now = visit.provider, arrival.known, arrival.now
        domain_id = await _domain_id(tx, provider, visit.mapped.user.domain)
        group_ids = await _group_ids(tx, provider, visit.mapped)
        places = await self._places(tx, visit, domain_id, arrival.project_ids)
        before = await FEDERATED_USERS.find(
            tx, provider_id=known.provider_id, protocol_id=known.protocol_id, unique_id=known.unique_id
        )
        if before is None:
            await _insert_user(tx, known, domain_id, visit.mapped.user.email, now)
        else:
            known = await _refresh_user(tx, before, known.display_name, visit.mapped.user.email)
        ended = await _assign(tx, known.user_id, places, exactly=visit.schema_version >= SYNCHRONIZES)
        if await _visit_groups(tx, known, group_ids, now) and before is not None:
            ended.append(user_subject(known.user_id))
        await mark_active(tx, known.user_id, now)
        await revoke(tx, ended, arrival.until)
        return Admitted(known.user_id, group_ids)

    async def _places(
        self, tx: Tx, visit: Visit, domain_id: str, made: Sequence[str]
    ) -> list[tuple[str, tuple[str, ...]]]:
        """The mapped projects, made if need be, with the roles on each. Looks at all roles before it makes anything."""
        wanted = [(one, [await _role(tx, role.name, domain_id) for role in one.roles]) for one in visit.mapped.projects]
        places = []
        for (mapped, roles), new_id in zip(wanted, made, strict=True):
            project = await self._project(tx, visit.provider, mapped, new_id)
            places.append((project.id, tuple(role.id for role in roles)))
        return places

    async def _project(self, tx: Tx, provider: IdentityProvider, mapped: MappedProject, new_id: str) -> Project:
        domain_id = await _domain_id(tx, provider, mapped.domain)
        if (found := await named_project(tx, mapped.name, domain_id)) is not None:
            return found
        if not mapped.name.strip() or len(mapped.name) > _LONGEST_PROJECT:
            raise _refused(provider, "a project has no name, or too long a one")
        project = Project(id=new_id, name=mapped.name, domain_id=domain_id, parent_id=domain_id)
        await self._projects.insert(tx, project)
        return project


async def _domain_id(tx: Tx, provider: IdentityProvider, domain: MappedDomain | None) -> str:
    """The domain that a mapping names, or else that of the provider."""
    if domain is None or (domain.id is None and domain.name is None):
        return provider.domain_id
    found = await DOMAINS.find(tx, id=domain.id) if domain.id is not None else await named_domain(tx, domain.name or "")
    if found is None:
        raise _refused(provider, "the mapping names a domain that is not there")
    return found.id


async def _group_ids(tx: Tx, provider: IdentityProvider, mapped: Mapped) -> tuple[str, ...]:
    """Groups by id must be there; those by name, which providers may know more of than we do, need not."""
    found = [group.id for group in await GROUPS.within(tx, "id", sorted(mapped.group_ids))]
    if len(found) != len(mapped.group_ids):
        raise _refused(provider, "the mapping names a group that is not there")
    for group in mapped.groups:
        domain_id = await _domain_id(tx, provider, group.domain)
        found += [one.id for one in await GROUPS.where(tx, domain_id=domain_id, name=group.name)]
    return tuple(sorted(set(found)))


async def _role(tx: Tx, name: str, domain_id: str) -> Role:
    """The role of that name that users of the domain may have. Raises `NotFound` or `Forbidden`."""
    found = await ROLES.where(tx, name=name)
    for role in found:
        if not role.domain_id or role.domain_id == domain_id:
            return role
    if found:
        raise Forbidden(f"role: {name} must be within the same domain as the identity provider.")
    raise NotFound(f"Could not find role: {name}.")


async def _insert_user(tx: Tx, known: FederatedUser, domain_id: str, email: str | None, now: int) -> None:
    name = await _free_name(tx, known, domain_id)
    extra = {} if email is None else {"email": email}
    await USERS.insert(tx, User(id=known.user_id, name=name, domain_id=domain_id, created_at=now, extra=extra))
    await FEDERATED_USERS.insert(tx, known)


async def _refresh_user(tx: Tx, before: FederatedUser, display_name: str, email: str | None) -> FederatedUser:
    """Somebody who has been here before, with the name and address that they have now."""
    known = _replace(before, display_name=display_name)
    if known != before:
        await FEDERATED_USERS.update(tx, known)
    user = await USERS.find(tx, id=known.user_id)
    if user is None:
        return known
    new = user if email is None else _replace(user, extra=user.extra | {"email": email})
    if known.shadow and known != before:
        new = _replace(new, name=await _free_name(tx, known, user.domain_id))
    if new != user:
        await USERS.update(tx, new)
    return known


async def _free_name(tx: Tx, known: FederatedUser, domain_id: str) -> str:
    """The display name, or, when somebody else of the domain has it, one that tells them apart."""
    other = await named_user(tx, known.display_name, domain_id)
    if other is None or other.id == known.user_id:
        return known.display_name
    whole = "\n".join((known.provider_id, known.protocol_id, known.unique_id))
    mark = hashlib.sha256(whole.encode()).hexdigest()[:12]
    return f"{known.display_name[: _LONGEST - 15]} ({mark})"


async def _visit_groups(tx: Tx, known: FederatedUser, group_ids: Sequence[str], now: int) -> bool:
    """Write down which groups somebody came with; whether they are others than last time."""
    before = await GROUP_VISITS.where(tx, user_id=known.user_id, provider_id=known.provider_id)
    await GROUP_VISITS.delete_where(tx, user_id=known.user_id, provider_id=known.provider_id)
    for group_id in group_ids:
        visit = GroupVisit(user_id=known.user_id, group_id=group_id, provider_id=known.provider_id, seen_at=now)
        await GROUP_VISITS.insert(tx, visit)
    return {visit.group_id for visit in before} != set(group_ids)


async def _assign(tx: Tx, user_id: str, places: Sequence[tuple[str, tuple[str, ...]]], *, exactly: bool) -> list[str]:
    """Give a user roles on projects; `exactly` takes all others away. Whose tokens end."""
    held = await ASSIGNMENTS.where(tx, actor_id=user_id, actor_kind="user", scope_kind="project", inherited=False)
    wanted = {
        Assignment(actor_kind="user", actor_id=user_id, scope_kind="project", scope_id=project_id, role_id=role_id)
        for project_id, role_ids in places
        for role_id in role_ids
    }
    for one in sorted(wanted - set(held), key=lambda one: (one.scope_id, one.role_id)):
        await ASSIGNMENTS.insert(tx, one)
    lost = [one for one in held if exactly and one not in wanted]
    ended = await made_of(tx, lost)
    for one in lost:
        await ASSIGNMENTS.delete(tx, **{name: getattr(one, name) for name in ASSIGNMENTS.key})
    return ended


def _refused(provider: IdentityProvider, why: str) -> Unauthenticated:
    _LOG.warning("a mapping lets nobody in", extra={"identity_provider": provider.id, "why": why})
    return Unauthenticated(REJECTED)
