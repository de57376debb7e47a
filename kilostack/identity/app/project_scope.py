"""The project that a token is for."""

from __future__ import annotations

import msgspec

from kilostack.core.errors import Unauthenticated
from kilostack.core.token import Claims
from kilostack.identity.app.proof import REJECTED, Named, found_domain
from kilostack.identity.store.projects import DOMAINS, PROJECTS, named_project
from kilostack.store.database import Tx


async def with_project(tx: Tx, claims: Claims, wanted: Named) -> Claims:
    """The claims on a project, its roles yet to come. A name counts more than an id, as upstream.

    Raises `Unauthenticated` for one that is not there or disabled, `BadRequest` for a name without a domain.
    """
    if wanted.name is None:
        project = await PROJECTS.find(tx, id=wanted.id)
        domain = None if project is None else await DOMAINS.find(tx, id=project.domain_id)
    else:
        domain = await found_domain(tx, wanted.domain, "project")
        project = None if domain is None else await named_project(tx, wanted.name, domain.id)
    if project is None or domain is None or not project.enabled or not domain.enabled:
        raise Unauthenticated(REJECTED)
    return msgspec.structs.replace(
        claims,
        project_id=project.id,
        project_name=project.name,
        project_domain_id=domain.id,
        project_domain_name=domain.name,
    )
