"""Access rules of users: made with the application credentials that they are for, and kept until nothing needs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Forbidden, NotFound
from kilostack.core.token import Claims
from kilostack.identity.app.delegation import check_may_use_application_credentials
from kilostack.identity.app.ground import Ground
from kilostack.identity.model.access_rules import UserRule
from kilostack.identity.store.access_rules import ACCESS_RULE_LIST, ACCESS_RULES
from kilostack.identity.store.application_credentials import APPLICATION_CREDENTIALS
from kilostack.identity.store.users import USERS
from kilostack.store.database import Tx
from kilostack.store.lists import Ask, Where

#: tokens carry their rules, and have to fit into a header
_LONGEST_RULES = 4096
_PARTS = ("service", "path", "method")


class WantedRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of a new credential: one that there is, by its id, or one that is described. `new_id` is for a new one."""

    new_id: str
    id: str | None = None
    service: str | None = None
    path: str | None = None
    method: str | None = None


class AccessRules:
    """Show, list and delete."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def show(self, ctx: Context, claims: Claims, user_id: str, rule_id: str) -> UserRule:
        async def unit(tx: Tx) -> UserRule:
            await self._check(tx, ctx, "get_access_rule", user_id)
            check_may_use_application_credentials(claims)
            return await _found(tx, user_id, rule_id)

        return await self._ground.db.read(unit)

    async def page(self, ctx: Context, claims: Claims, user_id: str, ask: Ask) -> list[UserRule]:
        of_user = msgspec.structs.replace(ask, where=(*ask.where, Where("user_id", (user_id,))))

        async def unit(tx: Tx) -> list[UserRule]:
            await self._check(tx, ctx, "list_access_rules", user_id)
            check_may_use_application_credentials(claims)
            return await ACCESS_RULE_LIST.page(tx, of_user)

        return await self._ground.db.read(unit)

    async def delete(self, ctx: Context, claims: Claims, user_id: str, rule_id: str) -> None:
        """Raises `Forbidden` for a rule that a credential needs."""

        async def unit(tx: Tx) -> None:
            await self._check(tx, ctx, "delete_access_rule", user_id)
            check_may_use_application_credentials(claims)
            # whoever makes a credential with the rule at this moment writes it, too
            await ACCESS_RULES.update(tx, await _found(tx, user_id, rule_id))
            credentials = await APPLICATION_CREDENTIALS.where(tx, user_id=user_id)
            if any(rule_id in credential.access_rule_ids for credential in credentials):
                raise Forbidden("May not delete access rule in use")
            await ACCESS_RULES.delete(tx, id=rule_id)

        await self._ground.db.write(unit)

    async def _check(self, tx: Tx, ctx: Context, action: str, user_id: str) -> None:
        user = await USERS.find(tx, id=user_id)
        target: Mapping[str, Any] = {} if user is None else {"user": {"id": user.id, "domain_id": user.domain_id}}
        self._ground.access.check(ctx, action, target)


async def kept_rules(tx: Tx, user_id: str, wanted: Iterable[WantedRule]) -> tuple[str, ...]:
    """The ids of the rules, each kept once for its user. Raises `NotFound`, `BadRequest`."""
    rules = [await _kept(tx, user_id, rule) for rule in wanted]
    if sum(len(rule.service) + len(rule.path) + len(rule.method) + len(rule.id) for rule in rules) > _LONGEST_RULES:
        raise BadRequest(
            f"Invalid application credential: its access rules take more than {_LONGEST_RULES} characters; use "
            "patterns with * and **, or more than one credential.",
            field="access_rules",
        )
    return tuple(dict.fromkeys(rule.id for rule in rules))


async def _kept(tx: Tx, user_id: str, wanted: WantedRule) -> UserRule:
    if wanted.id is not None and (known := await ACCESS_RULES.find(tx, id=wanted.id)) is not None:
        if known.user_id != user_id:
            raise _missing(wanted.id)
        return await ACCESS_RULES.update(tx, known)
    parts = {name: value for name in _PARTS if (value := getattr(wanted, name)) is not None}
    if wanted.id is not None and not parts:
        raise _missing(wanted.id)
    if len(parts) != len(_PARTS):
        raise BadRequest(
            f"Invalid input for field/attribute access_rules. A rule has an id, or each of {', '.join(_PARTS)}.",
            field="access_rules",
        )
    same = await ACCESS_RULES.where(tx, user_id=user_id, **parts)
    if same:
        return await ACCESS_RULES.update(tx, same[0])
    return await ACCESS_RULES.insert(tx, UserRule(id=wanted.new_id, user_id=user_id, **parts))


async def _found(tx: Tx, user_id: str, rule_id: str) -> UserRule:
    rule = await ACCESS_RULES.find(tx, id=rule_id)
    if rule is None or rule.user_id != user_id:
        raise _missing(rule_id)
    return rule


def _missing(rule_id: str) -> NotFound:
    return NotFound(f"Could not find Access Rule: {rule_id}.")
