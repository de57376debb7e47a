"""Rules of users about how many ways in they must show: lists of methods, of which one list must be shown whole."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from kilostack.identity.model.users import MULTI_FACTOR_RULES

_ENABLED = "multi_factor_auth_enabled"


def suffices(options: Mapping[str, Any], shown: Collection[str], offered: Collection[str]) -> bool:
    """Whether a user with these options may come in with the methods `shown`.

    Methods that are not offered do not count, so that nobody is locked out when one is taken away.
    """
    rules = _rules(options, offered) if options.get(_ENABLED, True) else []
    return not rules or any(rule.issubset(shown) for rule in rules)


def required(options: Mapping[str, Any], shown: Collection[str], offered: Collection[str]) -> list[list[str]]:
    """The rules on whose way somebody is who has shown some of the methods."""
    return [sorted(rule) for rule in _rules(options, offered) if not rule.isdisjoint(shown)]


def _rules(options: Mapping[str, Any], offered: Collection[str]) -> list[set[str]]:
    rules = (set(rule).intersection(offered) for rule in options.get(MULTI_FACTOR_RULES) or ())
    return [rule for rule in rules if rule]
