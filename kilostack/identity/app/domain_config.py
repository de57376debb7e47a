"""The configuration that a domain has of its own: kept, shown without its secrets, and changed option by option."""

from __future__ import annotations

from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import NotFound
from kilostack.identity.app.ground import Ground
from kilostack.identity.model import domain_config as model
from kilostack.identity.model.domain_config import DomainOption, Part
from kilostack.identity.model.projects import DEFAULT_DOMAIN
from kilostack.identity.store.domain_config import DOMAIN_OPTIONS
from kilostack.identity.store.projects import DOMAINS
from kilostack.store.database import Tx

PURPOSE = "domain option"
_COMPLIANCE = "security_compliance"


class DomainConfigs:
    """What callers may do with the options of domains. The value of a sensitive option never comes back."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def show(self, ctx: Context, domain_id: str, part: Part) -> dict[str, Any]:
        """Raises `NotFound` when there is nothing that may be shown."""
        if part.group == _COMPLIANCE:
            return self._compliance(ctx, domain_id, part)
        self._ground.access.check(ctx, "get_domain_config", {})
        model.check_part(part)
        options = await self._ground.db.read(lambda tx: DOMAIN_OPTIONS.where(tx, domain_id=domain_id))
        if not (found := model.shown(options, part)):
            raise _nothing(part, domain_id)
        return found

    def _compliance(self, ctx: Context, domain_id: str, part: Part) -> dict[str, Any]:
        """The rules for passwords, which everybody may read who has to think of one."""
        self._ground.access.check(ctx, "get_security_compliance_domain_config", {})
        if domain_id != DEFAULT_DOMAIN:
            raise model.invalid(
                "Reading security compliance information for any domain other than the default domain is not "
                "allowed or supported"
            )
        rules = self._ground.settings.passwords
        readable: dict[str, Any] = {
            "password_regex": rules.password_regex,
            "password_regex_description": rules.password_regex_description or None,
        }
        if part.option and part.option not in readable:
            raise model.invalid(
                "Reading security compliance values other than password_regex and password_regex_description is "
                "not allowed"
            )
        return {part.option: readable[part.option]} if part.option else {_COMPLIANCE: readable}

    def defaults(self, ctx: Context, part: Part) -> dict[str, Any]:
        self._ground.access.check(ctx, "get_domain_config_default", {})
        return model.defaults(part)

    async def replace(self, ctx: Context, domain_id: str, config: Any) -> tuple[dict[str, Any], bool]:
        """Put a configuration in the place of the old one; what is shown of it, and whether there was none."""
        self._ground.access.check(ctx, "create_domain_config", {})
        await self._ground.db.read(lambda tx: _check_domain(tx, domain_id))
        options = self._options(domain_id, model.check_config(config))

        async def unit(tx: Tx) -> tuple[dict[str, Any], bool]:
            await _check_domain(tx, domain_id)
            removed = await DOMAIN_OPTIONS.delete_where(tx, domain_id=domain_id)
            for option in options:
                await DOMAIN_OPTIONS.insert(tx, option)
            return model.shown(options, Part()), removed == 0

        return await self._ground.db.write(unit)

    async def update(self, ctx: Context, domain_id: str, config: Any, part: Part) -> dict[str, Any]:
        """Change some options; what is shown of all. A part that is named must be there, and be all that is sent."""
        self._ground.access.check(ctx, "update_domain_config", {})
        await self._ground.db.read(lambda tx: _check_domain(tx, domain_id))
        wanted = model.check_config({part.group: config} if part.option else config)
        model.check_part(part)
        model.check_only(part, wanted)
        options = self._options(domain_id, wanted)

        async def unit(tx: Tx) -> dict[str, Any]:
            await _check_domain(tx, domain_id)
            before = await DOMAIN_OPTIONS.where(tx, domain_id=domain_id)
            if part.group and not any(part.holds(option) for option in before):
                raise _nothing(part, domain_id)
            known = {(option.group, option.option): option for option in before}
            for option in options:
                if known.get((option.group, option.option)) is None:
                    await DOMAIN_OPTIONS.insert(tx, option)
                else:
                    await DOMAIN_OPTIONS.update(tx, option)
            return model.shown(await DOMAIN_OPTIONS.where(tx, domain_id=domain_id), Part())

        return await self._ground.db.write(unit)

    async def remove(self, ctx: Context, domain_id: str, part: Part) -> None:
        """Raises `NotFound` when a part is named that is not there."""
        self._ground.access.check(ctx, "delete_domain_config", {})

        async def unit(tx: Tx) -> None:
            await _check_domain(tx, domain_id)
            model.check_part(part)
            before = await DOMAIN_OPTIONS.where(tx, domain_id=domain_id)
            gone = [option for option in before if part.holds(option)]
            if part.group and not gone:
                raise _nothing(part, domain_id)
            for option in gone:
                await DOMAIN_OPTIONS.delete(tx, domain_id=domain_id, group=option.group, option=option.option)

        await self._ground.db.write(unit)

    def _options(self, domain_id: str, config: model.Config) -> list[DomainOption]:
        made = []
        for group, options in config.items():
            for name, value in options.items():
                option = DomainOption(domain_id=domain_id, group=group, option=name, value=value)
                if option.is_sensitive:
                    sealed = self._ground.vault.seal(PURPOSE, msgspec.json.encode(value))
                    option = msgspec.structs.replace(option, value=sealed)
                made.append(option)
        return made


async def _check_domain(tx: Tx, domain_id: str) -> None:
    if await DOMAINS.find(tx, id=domain_id) is None:
        raise NotFound(f"Could not find domain: {domain_id}.")


def _nothing(part: Part, domain_id: str) -> NotFound:
    return NotFound(f"Could not find {part} in domain configuration for domain {domain_id}.")
