"""The tags of projects, one by one and together."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kilostack.core.context import Context
from kilostack.core.errors import Conflict, Duplicate, NotFound
from kilostack.identity.app.documents import check_mutable
from kilostack.identity.app.projects import Projects
from kilostack.identity.model.projects import Project
from kilostack.store.database import Tx

Tags = tuple[str, ...]


class ProjectTags:
    """Whoever may change a project may change its tags, by rules of their own."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects

    async def show(self, ctx: Context, project_id: str) -> Tags:
        return (await self._seen(ctx, "list_project_tags", project_id)).tags

    async def check(self, ctx: Context, project_id: str, tag: str) -> None:
        """Raise `NotFound` unless the project has the tag."""
        _check_tagged(await self._seen(ctx, "get_project_tag", project_id), tag)

    async def replace(self, ctx: Context, project_id: str, tags: Iterable[str]) -> Tags:
        wanted = tuple(tag.strip() for tag in tags)
        return await self._changed(ctx, "update_project_tags", project_id, lambda project: wanted)

    async def add(self, ctx: Context, project_id: str, tag: str, check: Callable[[Tags], None]) -> None:
        """`check` raises when the project may not have these tags."""

        def added(project: Project) -> Tags:
            check((*project.tags, tag))
            return (*project.tags, tag.strip())

        await self._changed(ctx, "create_project_tag", project_id, added)

    async def clear(self, ctx: Context, project_id: str) -> None:
        await self._changed(ctx, "delete_project_tags", project_id, lambda project: ())

    async def drop(self, ctx: Context, project_id: str, tag: str) -> None:
        """Raises `NotFound` unless the project has the tag."""

        def dropped(project: Project) -> Tags:
            _check_tagged(project, tag)
            return tuple(other for other in project.tags if other != tag)

        await self._changed(ctx, "delete_project_tag", project_id, dropped)

    async def _seen(self, ctx: Context, action: str, project_id: str) -> Project:
        return await self._projects.ground.db.read(lambda tx: self._projects.found_for(tx, ctx, action, project_id))

    async def _changed(self, ctx: Context, action: str, project_id: str, after: Callable[[Project], Tags]) -> Tags:
        until = self._projects.ground.until()

        async def unit(tx: Tx) -> Tags:
            project = await self._projects.found_for(tx, ctx, action, project_id)
            check_mutable(project.immutable, {"tags": ()}, "project", project_id)
            try:
                return (await self._projects.rewrite(tx, project, {"tags": after(project)}, until)).tags
            except Duplicate:
                raise Conflict(self._projects.duplicate(project)) from None

        return await self._projects.ground.db.write(unit)


def _check_tagged(project: Project, tag: str) -> None:
    if tag not in project.tags:
        raise NotFound(f"Could not find project tag: {tag}.")
