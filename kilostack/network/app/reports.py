"""Folding what hosts report into ports, routers and floating IPs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kilostack.network.model.records import Router
from kilostack.network.store import ports, routers
from kilostack.network.store.changes import Change
from kilostack.network.store.tables import FLOATING_IPS, PORTS, ROUTERS


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A `PortReport` or a `RouterReport` of the wire: ids say which."""

    id: str
    revision: int
    state: str
    floating_ips: tuple[str, ...] = ()


async def fold(change: Change, host: str, reports: Sequence[Report], now: int) -> None:
    """Write what has changed. A host's word counts for the ports bound to it and the routers placed on it only."""
    by_id = {report.id: report for report in reports}
    for port in await PORTS.within(change.tx, "id", sorted(by_id)):
        status = _status(by_id[port.id])
        if port.host == host and port.status != status:
            await ports.set_status(change, msgspec.structs.replace(port, updated_at=now), status)
    for router in await ROUTERS.within(change.tx, "id", sorted(by_id)):
        if router.host == host:
            await _fold_router(change, router, by_id[router.id], now)


async def _fold_router(change: Change, router: Router, report: Report, now: int) -> None:
    status = _status(report)
    if router.status != status and router.admin_state_up:
        await routers.set_status(change, msgspec.structs.replace(router, updated_at=now), status)
    # the ports of a router that its owner has switched off are wired all the same
    wired = status if router.admin_state_up else "ACTIVE"
    for leg in await routers.ports_of(change.tx, router.id):
        if leg.status != wired:
            await ports.set_status(change, msgspec.structs.replace(leg, updated_at=now), wired)
    answered = set(report.floating_ips) if status == "ACTIVE" else set()
    for floating_ip in await FLOATING_IPS.where(change.tx, router_id=router.id):
        shown = "ACTIVE" if floating_ip.floating_ip_address in answered else "DOWN"
        if floating_ip.status != shown:
            new = msgspec.structs.replace(floating_ip, status=shown, updated_at=now)
            await routers.update_floating_ip(change, floating_ip, new)


def _status(report: Report) -> str:
    return "ACTIVE" if report.state == "active" else "DOWN"
