"""The choice itself: hosts and a request in, candidates in order and the reasons out. No clock, no I/O.

Among hosts within two percent of the best one the seed decides, so that many requests at once do not all run to the
same host.
"""

from __future__ import annotations

import random
from typing import Any

import msgspec
import numpy as np

from kilostack.compute.scheduler.columns import Columns, Mask
from kilostack.compute.scheduler.request import Request
from kilostack.compute.scheduler.rules import CONNECTED, Rule, all_of, rules_for
from kilostack.compute.scheduler.weighers import score

#: hosts named per rule, and candidates kept
SHOWN = 20
_NEAR = 0.98


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """Candidates, best first, and how they came to be: "asked", "hosts", "rules", "weights"."""

    #: (host, provider id)
    candidates: tuple[tuple[str, str], ...]
    record: dict[str, Any]
    #: why nothing is left, for the owner of the server; says nothing of any one host
    summary: str = ""
    #: nothing is left, but a host would do if its agent were connected
    only_connection_missing: bool = False


def choose(columns: Columns, request: Request, seed: int, *, pending: bool = True) -> Ranking:
    """Rank the hosts. With `pending` false, claims that are under way are taken for failed."""
    left = all_of(columns)
    record: dict[str, Any] = {"asked": _asked(request), "hosts": len(columns), "rules": [], "weights": []}
    briefs = []
    for rule in rules_for(request, pending=pending):
        if (kept := rule.keeps(columns, request)) is None:
            continue
        removed = np.flatnonzero(left & ~kept)
        left = left & kept
        entry: dict[str, Any] = {"rule": rule.name, "left": int(left.sum())}
        entry["removed"] = {
            columns.hosts[place].name: rule.why(columns, request, place) for place in removed[:SHOWN].tolist()
        }
        if len(removed) > SHOWN:
            entry["more"] = len(removed) - SHOWN
        if len(removed):
            briefs.append(f"{len(removed)} {rule.brief(request)}")
        record["rules"].append(entry)
    places = np.flatnonzero(left)
    if not len(places):
        summary = f"Of {len(columns)} hosts: {', '.join(briefs)}." if len(columns) else "There are no hosts."
        missing = _would_do(columns, request, CONNECTED, pending=pending)
        return Ranking(candidates=(), record=record, summary=summary, only_connection_missing=missing)
    order, scores = _ordered(columns, places, seed)
    record["weights"] = [
        {"host": columns.hosts[place].name, "score": round(float(scores[place]), 4)} for place in order
    ]
    chosen = [columns.hosts[place] for place in order]
    return Ranking(candidates=tuple((state.name, state.provider_id) for state in chosen), record=record)


def _ordered(columns: Columns, places: Any, seed: int) -> tuple[list[int], Any]:
    """The best places, best first, with those near the best one in an order that the seed gives."""
    scores = score(columns)
    mine = scores[places]
    near = places[mine >= _NEAR * mine.max()].tolist()
    order = random.Random(seed).sample(near, min(len(near), SHOWN))
    if len(order) < SHOWN:
        rest = np.setdiff1d(places, np.array(near))
        if len(rest) > SHOWN:
            rest = rest[np.argpartition(-scores[rest], SHOWN)[:SHOWN]]
        order += rest[np.argsort(-scores[rest], kind="stable")][: SHOWN - len(order)].tolist()
    return order, scores


def _would_do(columns: Columns, request: Request, without: Rule, *, pending: bool) -> bool:
    """Whether some host passes every rule but one."""
    left: Mask = all_of(columns)
    for rule in rules_for(request, pending=pending):
        if rule is not without and (kept := rule.keeps(columns, request)) is not None:
            left = left & kept
    return bool(left.any())


def _asked(request: Request) -> dict[str, Any]:
    asked: dict[str, Any] = dict(sorted(request.resources.items()))
    if request.zone is not None:
        asked["zone"] = request.zone
    if request.host is not None:
        asked["host"] = request.host
    return asked
