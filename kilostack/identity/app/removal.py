"""What goes with a project or a user that is deleted, in the same unit."""

from __future__ import annotations

from kilostack.identity.model.projects import Project
from kilostack.identity.model.users import User
from kilostack.identity.store.application_credentials import APPLICATION_CREDENTIALS
from kilostack.identity.store.projects import PROJECTS
from kilostack.identity.store.roles import ASSIGNMENTS
from kilostack.identity.store.users import USERS
from kilostack.store.database import Tx


async def remove_project(tx: Tx, project: Project) -> None:
    await ASSIGNMENTS.delete_where(tx, scope_kind="project", scope_id=project.id)
    await APPLICATION_CREDENTIALS.delete_where(tx, project_id=project.id)
    await PROJECTS.delete(tx, id=project.id)


async def remove_user(tx: Tx, user: User) -> None:
    await ASSIGNMENTS.delete_where(tx, user_id=user.id)
    await APPLICATION_CREDENTIALS.delete_where(tx, user_id=user.id)
    await USERS.delete(tx, id=user.id)
