"""What is above and below projects, as far as somebody may see it."""

from __future__ import annotations

from enum import StrEnum

from kilostack.core.context import Context
from kilostack.identity.app.assignments import projects_with_roles
from kilostack.identity.app.projects import Projects
from kilostack.identity.model.projects import IdTree, Project, parents_as_ids, subtree_as_ids
from kilostack.identity.store.projects import parents_of, subtree_of
from kilostack.store.database import Tx


class Relatives(StrEnum):
    """What a project may be shown with. Lists hold only projects on which the caller has a role."""

    PARENTS = "parents_as_list"
    PARENT_IDS = "parents_as_ids"
    SUBTREE = "subtree_as_list"
    SUBTREE_IDS = "subtree_as_ids"


#: of each kind that was asked for
Family = dict[Relatives, list[Project] | IdTree | None]


class ProjectTree:
    """What is above and below projects."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects

    async def family(self, ctx: Context, project_id: str, asked: set[Relatives]) -> tuple[Project, Family]:
        """A project that the caller may see, and its relatives."""

        async def unit(tx: Tx) -> tuple[Project, Family]:
            project = await self._projects.found(tx, ctx, "get", project_id)
            found: Family = {}
            for kind in asked:
                found[kind] = await self._relatives(tx, ctx, project, kind)
            return project, found

        return await self._projects.ground.db.read(unit)

    async def _relatives(
        self, tx: Tx, ctx: Context, project: Project, kind: Relatives
    ) -> list[Project] | IdTree | None:
        if kind in (Relatives.PARENTS, Relatives.PARENT_IDS):
            every = await parents_of(tx, project)
            if kind is Relatives.PARENT_IDS:
                return parents_as_ids(every)
        else:
            every = await subtree_of(tx, project.id)
            if kind is Relatives.SUBTREE_IDS:
                return subtree_as_ids(project.id, every)
        own = {held.id for held in await projects_with_roles(tx, ctx.user_id)}
        return [one for one in every if one.id in own]
