"""Records of access rules, and what may be asked of their collection."""

from __future__ import annotations

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


async def access_rules(tx: Tx, rule_ids: tuple[str, ...]) -> tuple[AccessRule, ...] | None:
    """What a credential with these rules may be used for; None is everything."""
    if not rule_ids:
        return None
    found = {rule.id: rule for rule in await ACCESS_RULES.within(tx, "id", rule_ids)}
    rules = (found[rule_id] for rule_id in rule_ids if rule_id in found)
    return tuple(AccessRule(rule.service, rule.method, rule.path, rule.id) for rule in rules)
