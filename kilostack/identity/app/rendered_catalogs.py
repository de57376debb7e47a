"""The catalog that tokens carry, rendered once for all who see the same."""

from __future__ import annotations

import msgspec

from kilostack.identity.model.catalog import Endpoint, Service, Viewer, catalog, names
from kilostack.identity.store.catalog import ENDPOINTS, SERVICES
from kilostack.identity.store.endpoint_filter import endpoints_of, is_any_cut
from kilostack.identity.store.tables.meta import FEED
from kilostack.store.database import Tx

_MOST_KEPT = 256


class _Known(msgspec.Struct, frozen=True):
    """What catalogs are made of, as of a number of the feed."""

    number: int
    services: list[Service]
    endpoints: list[Endpoint]
    #: whether projects and users have catalogs of their own
    by_project: bool
    by_user: bool


class RenderedCatalogs:
    """They are kept until identity's feed tells of a change of theirs."""

    def __init__(self) -> None:
        self._known: _Known | None = None
        self._made: dict[Viewer, msgspec.Raw] = {}

    async def get(self, tx: Tx, root: str, project_id: str, user_id: str = "") -> msgspec.Raw:
        """The catalog as JSON, for a client that reached the cloud at `root` with a token of a project, or none."""
        known = await self._current(tx)
        viewer = Viewer(root, project_id if known.by_project else "", user_id if known.by_user else "")
        if known is self._known and (kept := self._made.get(viewer)) is not None:
            return kept
        chosen = await endpoints_of(tx, viewer.project_id, known.endpoints) if viewer.project_id else ()
        shown = catalog(known.services, known.endpoints, viewer, {endpoint.id for endpoint in chosen})
        made = msgspec.Raw(msgspec.json.encode(shown))
        # another task may have read on meanwhile
        if known is self._known:
            self._made[viewer] = made
            if len(self._made) > _MOST_KEPT:
                del self._made[next(iter(self._made))]
        return made

    async def _current(self, tx: Tx) -> _Known:
        """What this transaction sees; the newest that was ever seen is kept."""
        known, head = self._known, await FEED.head(tx)
        if known is not None and known.number == head:
            return known
        if known is not None and known.number < head:
            changes = await FEED.after(tx, known.number)
            if changes.complete and changes.last == head and "catalog" not in changes.keys:
                return self._keep(msgspec.structs.replace(known, number=head), known)
        services, endpoints = await SERVICES.where(tx), await ENDPOINTS.where(tx)
        by_project = names(endpoints, "project_id", "tenant_id") or await is_any_cut(tx)
        return self._keep(_Known(head, services, endpoints, by_project, names(endpoints, "user_id")), None)

    def _keep(self, new: _Known, same_as: _Known | None) -> _Known:
        """Remember what was read unless something newer is; what was rendered stays if nothing has changed."""
        if self._known is None or self._known.number < new.number:
            if same_as is None or self._known is not same_as:
                self._made = {}
            self._known = new
        return new
