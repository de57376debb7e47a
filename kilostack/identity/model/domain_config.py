"""Options that a domain may have of its own: which there are, and which of them are secret.

They say how identity finds the users of that domain; upstream's list and defaults, so that its tools fit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from kilostack.core.errors import Forbidden

#: group -> option -> value
Config = dict[str, dict[str, Any]]

SENSITIVE = frozenset({("ldap", "password")})

#: options that may be read, with what they are where a domain says nothing
DEFAULTS: Config = {
    "identity": {"driver": "sql", "list_limit": None},
    "ldap": {
        "url": "ldap://localhost",
        "user": None,
        "suffix": "cn=example,cn=com",
        "query_scope": "one",
        "page_size": 0,
        "alias_dereferencing": "default",
        "debug_level": None,
        "chase_referrals": None,
        "user_tree_dn": None,
        "user_filter": None,
        "user_objectclass": "inetOrgPerson",
        "user_id_attribute": "cn",
        "user_name_attribute": "sn",
        "user_mail_attribute": "mail",
        "user_description_attribute": "description",
        "user_pass_attribute": "userPassword",
        "user_enabled_attribute": "enabled",
        "user_enabled_invert": False,
        "user_enabled_mask": 0,
        "user_enabled_default": "True",
        "user_attribute_ignore": ["default_project_id"],
        "user_default_project_id_attribute": None,
        "user_enabled_emulation": False,
        "user_enabled_emulation_dn": None,
        "user_enabled_emulation_use_group_config": False,
        "user_additional_attribute_mapping": [],
        "group_tree_dn": None,
        "group_filter": None,
        "group_objectclass": "groupOfNames",
        "group_id_attribute": "cn",
        "group_name_attribute": "ou",
        "group_members_are_ids": False,
        "group_member_attribute": "member",
        "group_desc_attribute": "description",
        "group_attribute_ignore": [],
        "group_additional_attribute_mapping": [],
        "tls_cacertfile": None,
        "tls_cacertdir": None,
        "use_tls": False,
        "tls_req_cert": "demand",
        "use_pool": True,
        "pool_size": 10,
        "pool_retry_max": 3,
        "pool_retry_delay": 0.1,
        "pool_connection_timeout": -1,
        "pool_connection_lifetime": 600,
        "use_auth_pool": True,
        "auth_pool_size": 100,
        "auth_pool_connection_lifetime": 60,
    },
}


class DomainOption(msgspec.Struct, frozen=True, kw_only=True):
    """One option of a domain. The value of a sensitive one is sealed."""

    domain_id: str
    group: str
    option: str
    value: Any

    @property
    def is_sensitive(self) -> bool:
        return (self.group, self.option) in SENSITIVE


class Part(msgspec.Struct, frozen=True):
    """The part of a configuration that a request names: everything, a group, or one option of it."""

    group: str = ""
    option: str = ""

    def __str__(self) -> str:
        if self.option:
            return f"option {self.option} in group {self.group}"
        return f"group {self.group}" if self.group else "any options"

    def holds(self, option: DomainOption) -> bool:
        return self.group in ("", option.group) and self.option in ("", option.option)


def invalid(reason: str) -> Forbidden:
    """The refusal of a configuration, which upstream answers with 403."""
    return Forbidden(f"Invalid domain specific configuration: {reason}.")


def check_part(part: Part) -> None:
    """Raise `Forbidden` unless domains may have such options."""
    if part.group and part.group not in DEFAULTS:
        raise invalid(f"Group {part.group} is not supported for domain specific configurations")
    known = DEFAULTS.get(part.group, {})
    if part.option and part.option not in known and (part.group, part.option) not in SENSITIVE:
        raise invalid(f"Option {part.option} in group {part.group} is not supported for domain specific configurations")


def check_config(config: Any) -> Config:
    """The configuration of a request. Raises `Forbidden` unless it has options, all of them known."""
    if not config:
        raise invalid("No options specified")
    for group, options in config.items():
        if not options or not isinstance(options, dict):
            raise invalid(f"The value of group {group} specified in the config should be a dictionary of options")
        for option in options:
            check_part(Part(group, option))
    checked: Config = config
    return checked


def check_only(part: Part, config: Config) -> None:
    """Raise `Forbidden` unless a change of `part` has that part and nothing else."""
    if not part.group:
        return
    if part.group not in config and len(config) == 1:
        other = next(iter(config))
        raise invalid(f"request to update group {part.group}, but config provided contains group {other} instead")
    options = config.get(part.group, {})
    if len(config) != 1 or (part.option and len(options) != 1):
        raise invalid(f"Trying to update {part}, so that, and only that, must be specified in the config")
    if part.option and part.option not in options:
        other = next(iter(options))
        raise invalid(f"Trying to update {part}, but config provided contains option {other} instead")


def shown(options: Iterable[DomainOption], part: Part) -> dict[str, Any]:
    """Options as clients see them, the sensitive ones left out: by group, or the one that was asked for alone."""
    config: Config = {}
    for one in options:
        if part.holds(one) and not one.is_sensitive:
            config.setdefault(one.group, {})[one.option] = one.value
    return config[part.group] if part.option and config else config


def defaults(part: Part) -> dict[str, Any]:
    """What options are where a domain says nothing. Raises `Forbidden` for what is not to be read."""
    check_part(part)
    if part.option:
        if part.option not in DEFAULTS[part.group]:
            raise invalid(f"Reading the default for {part} is not supported")
        return {part.option: DEFAULTS[part.group][part.option]}
    return {part.group: DEFAULTS[part.group]} if part.group else DEFAULTS
