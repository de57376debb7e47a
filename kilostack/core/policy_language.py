"""oslo.policy's rule language, compiled to closures.

A check is `role:NAME`, `rule:NAME`, `KEY:VALUE` (KEY is a credential such as `project_id` or `token.domain.id`), or
`LITERAL:VALUE` (`None`, `True`, a number, a quoted text); VALUE is text in which `%(a.b)s` stands for a value of the
target. `@` and the empty rule always allow, `!` never. Checks are joined by `and`, `or`, `not` and parentheses. The old
form is a list of lists: the outer one means `or`, the inner ones `and`. Source: oslo.policy's documentation.

Other than there, what is unset in the caller never equals what is unset in the target: `domain_id:%(target.domain_id)s`
does not let a caller without a domain at things without a domain. The literal None still tells both:
`not domain_id:None`, `None:%(target.domain_id)s`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from kilostack.core.context import Context

Check = Callable[[Context, Mapping[str, Any]], bool]
#: a value of the target, put into text: (text, whether something was unset); None when the target has no such key
_Text = Callable[[Mapping[str, Any]], tuple[str, bool] | None]

_TOKENS = re.compile(r"\s*(\(|\)|(?:'[^']*'|\"[^\"]*\")?(?:%\([^()]*\)s|[^\s()])+)")
_KEY = re.compile(r"%\(([^()]*)\)s")
_WORDS = {"and", "or", "not", "(", ")"}


class PolicyError(ValueError):
    """A rule that cannot work. `rules` are the names of those that have to do with it, its own first."""

    def __init__(self, message: str, *rules: str) -> None:
        super().__init__(message)
        self.rules = rules


_CREDENTIALS: Mapping[str, Callable[[Context], Any]] = {
    "user_id": lambda ctx: ctx.user_id,
    "user_name": lambda ctx: ctx.user_name,
    "user_domain_id": lambda ctx: ctx.user_domain_id,
    "user_domain_name": lambda ctx: ctx.user_domain_name,
    "project_id": lambda ctx: ctx.project_id,
    "project_name": lambda ctx: ctx.project_name,
    "project_domain_id": lambda ctx: ctx.project_domain_id,
    "project_domain_name": lambda ctx: ctx.project_domain_name,
    "domain_id": lambda ctx: ctx.domain_id,
    "domain_name": lambda ctx: ctx.domain_name,
    "system_scope": lambda ctx: "all" if ctx.system else None,
    "is_admin": lambda ctx: str(ctx.is_admin),
    # no project of a cloud is special: everywhere is as good as there
    "is_admin_project": lambda ctx: "True",
    "roles": lambda ctx: ctx.roles,
}
#: other names of the same: those of a token's document, and those of older files
_ALIASES = {
    "user": "user_id",
    "user.id": "user_id",
    "user.name": "user_name",
    "user.domain.id": "user_domain_id",
    "user.domain.name": "user_domain_name",
    "tenant": "project_id",
    "tenant_id": "project_id",
    "project.id": "project_id",
    "project.name": "project_name",
    "project.domain.id": "project_domain_id",
    "project.domain.name": "project_domain_name",
    "domain.id": "domain_id",
    "domain.name": "domain_name",
    "system": "system_scope",
    "roles.name": "roles",
}
CREDENTIALS = frozenset({*_CREDENTIALS, *_ALIASES, *(f"token.{name}" for name in _ALIASES if "." in name)})


def suggestion(name: str, known: object) -> str:
    """`; did you mean 'X'?`, or nothing when nothing is near."""
    near = get_close_matches(name, sorted(known), n=1, cutoff=0.6)  # type: ignore[call-overload]
    return f"; did you mean {near[0]!r}?" if near else ""


class Parser:
    """Recursive descent over one rule: or < and < not < check. `keys` are those of the target that it reads."""

    def __init__(self, text: str, name: str, rule: Callable[[str], Check]) -> None:
        self._tokens = _TOKENS.findall(text)
        self._text, self._name, self._rule = text, name, rule
        self._at = 0
        self.keys: set[str] = set()

    def parse(self) -> Check:
        """The check. Raises `PolicyError`."""
        if not self._tokens:
            return _always
        check = self._or()
        if self._at != len(self._tokens):
            raise self._error(f"unexpected {self._tokens[self._at]!r}")
        return check

    def _error(self, why: str) -> PolicyError:
        return PolicyError(f"policy rule {self._name!r}: {why} in {self._text!r}", self._name)

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _or(self) -> Check:
        parts = [self._and()]
        while self._peek().lower() == "or":
            self._at += 1
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else _any(tuple(parts))

    def _and(self) -> Check:
        parts = [self._not()]
        while self._peek().lower() == "and":
            self._at += 1
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else _all(tuple(parts))

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
        kind, colon, value = _split(token)
        if not colon:
            raise self._error(f"{token!r} is not KIND:VALUE")
        return self._check(kind, value)

    def _check(self, kind: str, value: str) -> Check:
        if kind == "rule":
            # resolved at once, so that a loop or an unknown name is found at start
            return self._rule(value)
        text = self._text_of(value)
        if kind == "role":
            return _role(text, None if _KEY.search(value) else value.replace("%%", "%"))
        try:
            literal = str(ast.literal_eval(kind))
        except (ValueError, SyntaxError):
            return self._credential(kind, value, text)
        return lambda ctx, target: (found := text(target)) is not None and found[0] == literal

    def _credential(self, kind: str, value: str, text: _Text) -> Check:
        if kind not in CREDENTIALS:
            raise self._error(f"{kind!r} is nothing that is known of a caller{suggestion(kind, CREDENTIALS)}")
        in_token = kind.startswith("token.")
        name = kind.removeprefix("token.")
        of = _CREDENTIALS[_ALIASES.get(name, name)]
        if not _KEY.search(value):
            wanted = value.replace("%%", "%")
            unset = None if in_token else "None"
            return lambda ctx, target: _is(of(ctx) or unset, wanted)

        def check(ctx: Context, target: Mapping[str, Any]) -> bool:
            held = of(ctx)
            found = text(target) if held else None
            return found is not None and not found[1] and _is(held, found[0])

        return check

    def _text_of(self, value: str) -> _Text:
        parts = _KEY.split(value)
        for literal in parts[::2]:
            if "%" in literal.replace("%%", ""):
                raise self._error(f"after a '%' there must be '(KEY)s' in {value!r}")
        keys = parts[1::2]
        self.keys.update(keys)
        literals = [literal.replace("%%", "%") for literal in parts[::2]]
        if not keys:
            return lambda target: (literals[0], False)

        def text(target: Mapping[str, Any]) -> tuple[str, bool] | None:
            found = [_looked_up(target, key) for key in keys]
            if any(one is _MISSING for one in found):
                return None
            rest = (f"{one}{literal}" for one, literal in zip(found, literals[1:], strict=True))
            return literals[0] + "".join(rest), any(one is None for one in found)

        return text


def listed(name: str, check: object) -> str:
    """The old form as text: a list (any of them) of lists (all of them) of checks. Raises `PolicyError`."""
    if not isinstance(check, list):
        raise PolicyError(f"policy rule {name!r}: a rule is a text, or a list of lists of texts", name)
    if not check:
        return "@"
    ways = []
    for way in check:
        parts = [way] if isinstance(way, str) else way
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise PolicyError(f"policy rule {name!r}: a rule is a text, or a list of lists of texts", name)
        for part in parts:
            if len(_TOKENS.findall(part)) != 1 or part.lower() in _WORDS:
                raise PolicyError(f"policy rule {name!r}: {part!r} is not one check, as it must be in a list", name)
        if parts:
            ways.append("(" + " and ".join(parts) + ")")
    return " or ".join(ways) or "!"


def _split(token: str) -> tuple[str, str, str]:
    """KIND, ":" and VALUE; a quoted KIND may hold colons itself."""
    if token[0] in "'\"" and (end := token.find(token[0], 1)) > 0:
        return token[: end + 1], token[end + 1 : end + 2], token[end + 2 :]
    return token.partition(":")


def _always(ctx: Context, target: Mapping[str, Any]) -> bool:
    return True


def _never(ctx: Context, target: Mapping[str, Any]) -> bool:
    return False


def _any(parts: tuple[Check, ...]) -> Check:
    def check(ctx: Context, target: Mapping[str, Any]) -> bool:
        for part in parts:  # noqa: SIM110 - half the time of a generator, and each request asks
            if part(ctx, target):
                return True
        return False

    return check


def _all(parts: tuple[Check, ...]) -> Check:
    def check(ctx: Context, target: Mapping[str, Any]) -> bool:
        for part in parts:  # noqa: SIM110 - as above
            if not part(ctx, target):
                return False
        return True

    return check


def _role(text: _Text, fixed: str | None) -> Check:
    if fixed is not None:
        lower = fixed.lower()
        return lambda ctx, target: lower in _lower(ctx.roles)

    def check(ctx: Context, target: Mapping[str, Any]) -> bool:
        found = text(target)
        return found is not None and found[0].lower() in _lower(ctx.roles)

    return check


@lru_cache(maxsize=1024)
def _lower(roles: tuple[str, ...]) -> frozenset[str]:
    """Roles are the same in any case; few combinations of them are asked for again and again."""
    return frozenset(role.lower() for role in roles)


def _is(held: Any, wanted: str) -> bool:
    """Of several values (roles) any one."""
    return wanted in held if isinstance(held, tuple) else held == wanted


_MISSING: Any = object()


def _looked_up(target: Mapping[str, Any], key: str) -> Any:
    """The value under `key`, which may be a path of keys; `_MISSING` when there is none."""
    if key in target:
        return target[key]
    if key == "tenant_id":
        return target.get("project_id", _MISSING)
    found: Any = target
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return _MISSING
        found = found[part]
    return found
