"""Records of access rules, and what may be asked of their collection."""

from __future__ import annotations

from collections.abc import Iterable

from kilostack.core.access_rules import AccessRule
from kilostack.identity.model.access_rules import UserRule
from kilostack.identity.store.tables import access_rules as tables
from kilostack.store.database import Tx
from kilostack.store.lists import Collection
from kilostack.store.records import Records

ACCESS_RULES = Records(UserRule, tables.ACCESS_RULES, noun="access rule")


ACCESS_RULE_LIST = Collection(
    ACCESS_RULES,
    filters={"user_id": "user_id", "service": "service", "path": "path", "method": "method"},
    sorts={"id": "id", "service": "service", "path": "path", "method": "method"},
    default_sort=(("service", False), ("path", False), ("method", False)),
)


async def access_rules(tx: Tx, wanted: Iterable[tuple[str, ...]]) -> list[tuple[AccessRule, ...] | None]:
    """What credentials with these rules may be used for, one after the other; None is everything. One statement."""
    each = list(wanted)
    every = sorted({one for ids in each for one in ids})
    found = {rule.id: rule for rule in await ACCESS_RULES.within(tx, "id", every)}
    return [tuple(_rule(found[one]) for one in ids if one in found) if ids else None for ids in each]


def _rule(rule: UserRule) -> AccessRule:
    return AccessRule(rule.service, rule.method, rule.path, rule.id)
