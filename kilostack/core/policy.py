"""Authorization rules in oslo.policy's language, compiled to closures.

The grammar: `role:NAME`, `rule:NAME`, `KEY:VALUE` where VALUE may be `%(target key)s` or a literal, `@` (always), `!`
(never), the empty string (always), joined by `and`, `or`, `not` and parentheses. Source: oslo.policy's documentation of
policy files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import Forbidden

Check = Callable[[Context, Mapping[str, Any]], bool]

_TOKENS = re.compile(r"\s*(\(|\)|[^\s()]*%\([^)]*\)s[^\s()]*|'[^']*'[^\s()]*|[^\s()]+)")
_WORDS = {"and", "or", "not", "(", ")"}


class PolicyError(ValueError):
    """A rule that cannot be compiled; says which and why."""


class Rule(msgspec.Struct, frozen=True):
    """One operation's default: who may do it."""

    name: str
    check: str
    description: str = ""
    scope_types: tuple[str, ...] = ("project",)


class Policy:
    """Compiled rules: the defaults with an operator's overrides laid over them.

    Raises `PolicyError` when a rule does not compile or refers to one that is not there.
    """

    def __init__(self, rules: Iterable[Rule], overrides: Mapping[str, str] | None = None) -> None:
        self._texts = {rule.name: rule.check for rule in rules} | dict(overrides or {})
        self._checks: dict[str, Check] = {}
        for name in self._texts:
            self._rule(name, ())

    def _rule(self, name: str, path: tuple[str, ...]) -> Check:
        if name in path:
            raise PolicyError(f"policy rule {name!r} refers to itself through {' > '.join(path)}")
        if (check := self._checks.get(name)) is None:
            if name not in self._texts:
                raise PolicyError(f"policy rule {path[-1] if path else name!r} refers to unknown rule {name!r}")
            check = self._checks[name] = _Parser(
                self._texts[name], name, lambda n: self._rule(n, (*path, name))
            ).parse()
        return check

    def allows(self, ctx: Context, name: str, target: Mapping[str, Any] | None = None) -> bool:
        """True if the rule lets `ctx` act on `target` (its `project_id`, `user_id`, ...)."""
        return self._checks[name](ctx, target if target is not None else {"project_id": ctx.project_id})

    def check(self, ctx: Context, name: str, target: Mapping[str, Any] | None = None) -> None:
        """Raise `Forbidden`, naming the rule, unless it allows."""
        if not self.allows(ctx, name, target):
            raise Forbidden(f"Policy doesn't allow {name} to be performed.", rule=name)


class _Parser:
    """Recursive descent over one rule: or < and < not < atom."""

    def __init__(self, text: str, name: str, rule: Callable[[str], Check]) -> None:
        self._tokens = _TOKENS.findall(text)
        self._text, self._name, self._rule = text, name, rule
        self._at = 0

    def parse(self) -> Check:
        if not self._tokens:
            return _always
        check = self._or()
        if self._at != len(self._tokens):
            raise self._error(f"unexpected {self._tokens[self._at]!r}")
        return check

    def _error(self, why: str) -> PolicyError:
        return PolicyError(f"policy rule {self._name!r}: {why} in {self._text!r}")

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _or(self) -> Check:
        parts = [self._and()]
        while self._peek().lower() == "or":
            self._at += 1
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else lambda ctx, target: any(part(ctx, target) for part in parts)

    def _and(self) -> Check:
        parts = [self._not()]
        while self._peek().lower() == "and":
            self._at += 1
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else lambda ctx, target: all(part(ctx, target) for part in parts)

    def _not(self) -> Check:
        if self._peek().lower() == "not":
            self._at += 1
            inner = self._not()
            return lambda ctx, target: not inner(ctx, target)
        return self._atom()

    def _atom(self) -> Check:
        token = self._peek()
        if not token:
            raise self._error("something is missing at the end")
        self._at += 1
        if token == "(":
            check = self._or()
            if self._peek() != ")":
                raise self._error("a ')' is missing")
            self._at += 1
            return check
        if token.lower() in _WORDS:
            raise self._error(f"unexpected {token!r}")
        if token == "@":
            return _always
        if token == "!":
            return _never
        kind, colon, value = token.partition(":")
        if not colon:
            raise self._error(f"{token!r} is not KIND:VALUE")
        return self._leaf(kind, value)

    def _leaf(self, kind: str, value: str) -> Check:
        if kind == "rule":
            # resolved at once, so that a loop or an unknown name is found at start
            return self._rule(value)
        if kind == "role":
            if "%(" in value:
                return lambda ctx, target: _filled(value, target) in ctx.roles
            return lambda ctx, target: value in ctx.roles
        if kind.startswith("'"):
            literal = kind.strip("'")
            return lambda ctx, target: literal == _filled(value, target)
        return lambda ctx, target: _same(_credential(ctx, kind), _filled(value, target))


def _always(ctx: Context, target: Mapping[str, Any]) -> bool:
    return True


def _never(ctx: Context, target: Mapping[str, Any]) -> bool:
    return False


def _filled(value: str, target: Mapping[str, Any]) -> str | None:
    """`value` with its `%(key)s` taken from the target; None when the target has no such key."""
    if "%(" not in value:
        return value.strip("'")
    key = value[value.index("%(") + 2 : value.index(")s")]
    found: Any = target
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return None if found is None else str(found)


def _credential(ctx: Context, kind: str) -> str | None:
    if kind == "system_scope":
        return "all" if ctx.system else None
    if kind == "is_admin":
        return str(ctx.is_admin)
    value = getattr(ctx, kind, None)
    return None if value is None else str(value)


def _same(credential: str | None, wanted: str | None) -> bool:
    return bool(credential) and credential == wanted
