"""Authorization: which rule an operation has, in which scopes it may be asked, and what an operator made of it.

The language of rules is `policy_language`'s, the files of operators are `policy_files`'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import Forbidden
from kilostack.core.policy_language import Check, Parser, PolicyError, suggestion

__all__ = ["Policy", "PolicyError", "Rule"]


class Rule(msgspec.Struct, frozen=True):
    """One operation's default: who may do it. `scope_types` are the scopes of tokens it takes; () is any."""

    name: str
    check: str
    description: str = ""
    scope_types: tuple[str, ...] = ("project",)


class Policy:
    """Compiled rules: the defaults with an operator's overrides laid over them.

    A token of a scope that the rule does not take is refused whatever the check says, also when the check is the
    operator's. Raises `PolicyError` when a rule does not compile or refers to one that is not there.
    """

    def __init__(self, rules: Iterable[Rule], overrides: Mapping[str, str] | None = None) -> None:
        rules = tuple(rules)
        self._scopes = {rule.name: frozenset(rule.scope_types) for rule in rules}
        self._texts = {rule.name: rule.check for rule in rules} | dict(overrides or {})
        self._checks: dict[str, Check] = {}
        self._keys: dict[str, frozenset[str]] = {}
        for name in self._texts:
            self._rule(name, ())

    def _rule(self, name: str, path: tuple[str, ...]) -> Check:
        if name in path:
            raise PolicyError(f"policy rule {name!r} refers to itself through {' > '.join(path)}", name, *path)
        if (check := self._checks.get(name)) is None:
            if name not in self._texts:
                raise PolicyError(
                    f"policy rule {path[-1]!r} refers to unknown rule {name!r}{suggestion(name, self._texts)}", path[-1]
                )
            used: set[str] = set()

            def resolve(other: str) -> Check:
                found = self._rule(other, (*path, name))
                used.update(self._keys[other])
                return found

            parser = Parser(self._texts[name], name, resolve)
            check = self._checks[name] = parser.parse()
            self._keys[name] = frozenset(used | parser.keys)
        return check

    def text(self, name: str) -> str:
        """The check as it is written."""
        return self._texts[name]

    def keys(self, name: str) -> frozenset[str]:
        """The keys of the target that the rule reads, through other rules as well."""
        return self._keys[name]

    def scopes(self, name: str) -> frozenset[str]:
        """The scopes of tokens that the rule takes; empty is any."""
        return self._scopes.get(name, frozenset())

    def takes(self, ctx: Context, name: str) -> bool:
        """Whether the rule takes the scope of `ctx`."""
        scopes = self._scopes.get(name)
        return not scopes or ctx.is_internal or ctx.scope in scopes

    def allows(self, ctx: Context, name: str, target: Mapping[str, Any] | None = None) -> bool:
        """True if the rule lets `ctx` act on `target` (its `project_id`, `user_id`, ...)."""
        if not self.takes(ctx, name):
            return False
        return self._checks[name](ctx, target if target is not None else {"project_id": ctx.project_id})

    def check(self, ctx: Context, name: str, target: Mapping[str, Any] | None = None) -> None:
        """Raise `Forbidden`, naming the rule, unless it allows."""
        if not self.allows(ctx, name, target):
            raise Forbidden(f"Policy doesn't allow {name} to be performed.", rule=name)
