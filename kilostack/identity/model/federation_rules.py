"""The rules of mappings: from what an identity provider says about somebody to who that is here.

What a provider says is only ever a value: the structure of lists comes from the rule alone, so that nobody gets into
a group by the way in which they spell their name. (Upstream fills the text first and reads the list out of it.)
"""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

#: from this version on the domain of a rule is that of its user and projects, too
HONORS_DOMAIN = "2.0"
#: from this version on roles on projects that are not mapped any more are taken away
SYNCHRONIZES = "3.0"
#: what is said: name of the attribute, and its values
Assertion = Mapping[str, Sequence[str]]

_ALL = re.compile(r"\{(\d*)\}", re.ASCII)
_NUMBER = re.compile(r"\{?(\d+)\}?", re.ASCII)
_IN_JSON = "JSON:"


class MappingError(ValueError):
    """The rules do not fit what was said, or make no sense; nobody gets in by them."""


class MappedDomain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A domain by id, or else by name."""

    id: str | None = None
    name: str | None = None


class MappedUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who it is; without id and name the provider's own name counts."""

    id: str | None = None
    name: str | None = None
    email: str | None = None
    domain: MappedDomain | None = None
    type: Literal["ephemeral", "local"] | None = None

    @property
    def is_local(self) -> bool:
        """One of our own users, who must be there; any other is made when they first come."""
        return self.type == "local"


class MappedGroup(msgspec.Struct, frozen=True):
    """A group by name."""

    name: str
    domain: MappedDomain


class MappedRole(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class MappedProject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A project that is to be there, and the roles on it."""

    name: str
    roles: tuple[MappedRole, ...]
    domain: MappedDomain | None = None


class Mapped(msgspec.Struct, frozen=True):
    """What the rules make of it."""

    user: MappedUser
    group_ids: tuple[str, ...] = ()
    groups: tuple[MappedGroup, ...] = ()
    projects: tuple[MappedProject, ...] = ()


class _Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str | None = None
    name: str | None = None
    domain: MappedDomain | None = None


class _Local(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user: MappedUser | None = None
    group: _Group | None = None
    groups: str | None = None
    group_ids: str | None = None
    projects: tuple[MappedProject, ...] | None = None
    projects_json: str | None = None
    domain: MappedDomain | None = None


class _Remote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    any_one_of: list[Any] | None = None
    not_any_of: list[Any] | None = None
    blacklist: list[Any] | None = None
    whitelist: list[Any] | None = None
    regex: bool = False


class _Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    local: list[_Local]
    remote: list[_Remote]


class _Filled(msgspec.Struct, frozen=True):
    """One `local` part after the values have been put in."""

    user: MappedUser | None
    group: _Group | None
    groups: tuple[str, ...] | None
    group_ids: tuple[str, ...]
    projects: tuple[MappedProject, ...] | None
    domain: MappedDomain | None


def mapped(rules: Any, schema_version: str, assertion: Assertion) -> Mapped:
    """Who the rules say it is. Raises `MappingError`, and nothing else, whatever the rules and values are."""
    try:
        parsed = msgspec.convert(rules, list[_Rule])
    except (msgspec.ValidationError, RecursionError) as error:
        raise MappingError(f"the rules are not rules: {error}") from None
    filled = [part for rule in parsed for part in _applied(rule, assertion)]
    if not filled:
        raise MappingError("no rule fits, or those that do map to nothing")
    return _together(filled, later=schema_version >= HONORS_DOMAIN)


def _applied(rule: _Rule, assertion: Assertion) -> list[_Filled]:
    """The local parts of a rule that fits; nothing when it does not."""
    values: list[tuple[str, ...]] = []
    for remote in rule.remote:
        said = tuple(assertion.get(remote.type, ()))
        if not said:
            return []
        if remote.any_one_of is not None:
            if not _found(remote.any_one_of, said, remote.regex):
                return []
        elif remote.not_any_of is not None:
            if _found(remote.not_any_of, said, remote.regex):
                return []
        elif remote.blacklist is not None:
            refused = set(_found(remote.blacklist, said, remote.regex))
            values.append(tuple(value for value in said if value not in refused))
        elif remote.whitelist is not None:
            values.append(_found(remote.whitelist, said, remote.regex))
        else:
            values.append(said)
    return [_fill(local, values) for local in rule.local]


def _found(wanted: Sequence[Any], said: Sequence[str], regex: bool) -> tuple[str, ...]:
    """Those values that are wanted, each once."""
    if not regex:
        return tuple(value for value in dict.fromkeys(said) if value in wanted)
    try:
        return tuple(value for value in dict.fromkeys(said) if any(re.search(each, value) for each in wanted))
    except (re.error, TypeError, OverflowError, RecursionError) as error:
        raise MappingError(f"a regular expression makes no sense: {error}") from None


def _fill(local: _Local, values: Sequence[tuple[str, ...]]) -> _Filled:
    group, projects = local.group, local.projects
    if group is not None:
        group = _Group(_text(group.id, values), _text(group.name, values), _domain(group.domain, values))
    if projects is not None:
        projects = tuple(_project(project, values) for project in projects)
    if local.projects_json is not None:
        projects = (*(projects or ()), *_projects_said(local.projects_json, values))
    return _Filled(
        user=None if local.user is None else _user(local.user, values),
        group=group,
        groups=None if local.groups is None else _items(local.groups, values),
        group_ids=() if local.group_ids is None else _items(local.group_ids, values),
        projects=projects,
        domain=_domain(local.domain, values),
    )


def _user(user: MappedUser, values: Sequence[tuple[str, ...]]) -> MappedUser:
    # without a value many people would be one and the same user
    for text in (user.id, user.name):
        if any(not values[number] for number in _numbers(text or "", values)):
            raise MappingError("nothing is said of what the user is to be called")
    return MappedUser(
        id=_text(user.id, values),
        name=_text(user.name, values),
        email=_text(user.email, values),
        domain=_domain(user.domain, values),
        type=user.type,
    )


def _project(project: MappedProject, values: Sequence[tuple[str, ...]]) -> MappedProject:
    return MappedProject(
        name=_text(project.name, values),
        roles=tuple(MappedRole(_text(role.name, values)) for role in project.roles),
        domain=_domain(project.domain, values),
    )


def _domain(domain: MappedDomain | None, values: Sequence[tuple[str, ...]]) -> MappedDomain | None:
    return None if domain is None else MappedDomain(_text(domain.id, values), _text(domain.name, values))


def _projects_said(text: str, values: Sequence[tuple[str, ...]]) -> tuple[MappedProject, ...]:
    """Projects that the provider names itself, as JSON."""
    if (named := _NUMBER.match(text)) is None:
        raise MappingError("projects_json must be the number of a value")
    found: list[MappedProject] = []
    for said in values[_index(named[1], values)]:
        try:
            document = msgspec.json.decode(said)
            listed = document if isinstance(document, list) else [document]
            found += msgspec.convert(listed, list[MappedProject])
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise MappingError(f"the projects are not as they must be: {error}") from None
    return tuple(found)


def _text(template: Any, values: Sequence[tuple[str, ...]]) -> Any:
    """The template with `{0}` and so on replaced; several values look like a list. None stays None."""
    if template is None:
        return None
    pieces: list[str] = []
    numbers = iter(_numbers(template, values))
    for literal, field, _, _ in string.Formatter().parse(template):
        pieces.append(literal)
        if field is not None:
            found = values[next(numbers)]
            pieces.append(found[0] if len(found) == 1 else str(list(found)))
    return "".join(pieces)


def _numbers(template: str, values: Sequence[tuple[str, ...]]) -> list[int]:
    """Which values a template names, in order."""
    numbers: list[int] = []
    try:
        for _, field, spec, conversion in string.Formatter().parse(template):
            if field is None:
                continue
            if spec or conversion or not (field == "" or (field.isascii() and field.isdigit())):
                raise MappingError(f"{{{field}}} is not the number of a value")
            numbers.append(_index(field or str(len(numbers)), values))
    except ValueError as error:
        raise MappingError(str(error)) from None
    return numbers


def _index(text: str, values: Sequence[tuple[str, ...]]) -> int:
    if len(text) > 6 or int(text) >= len(values):
        raise MappingError(f"the rule names value {text[:20]} of {len(values)}, counted from 0")
    return int(text)


def _items(template: str, values: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The texts that a template stands for: all of one value, a list of templates, or a single text."""
    if (whole := _ALL.fullmatch(template)) is not None:
        return values[_index(whole[1] or "0", values)]
    try:
        listed = ast.literal_eval(template) if template.startswith("[") else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        listed = None
    if not isinstance(listed, list):
        return (_text(template, values),)
    if not all(isinstance(item, str) for item in listed):
        raise MappingError("a list of something else than texts")
    return tuple(text for item in listed for text in _item(item, values))


def _item(template: str, values: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    whole = _ALL.fullmatch(template)
    return (_text(template, values),) if whole is None else values[_index(whole[1] or "0", values)]


def _together(parts: Sequence[_Filled], *, later: bool) -> Mapped:
    """All parts in one. The first user counts, the last projects, and every group. `later` is schema 2.0 or later."""
    user = next((part.user for part in parts if part.user not in (None, MappedUser())), None) or MappedUser()
    if later and user.domain is None:
        user = msgspec.structs.replace(user, domain=parts[-1].domain)
    projects: tuple[MappedProject, ...] = ()
    for part in parts:
        if part.projects is not None:
            default = part.domain if later else None
            projects = tuple(
                project if project.domain is not None else msgspec.structs.replace(project, domain=default)
                for project in part.projects
            )
    ids = [part.group.id for part in parts if part.group is not None and part.group.id is not None]
    ids += [group_id for part in parts for group_id in part.group_ids]
    groups = [group for part in parts for group in _groups(part)]
    return Mapped(user, _once(ids), _once(groups), projects)


def _groups(part: _Filled) -> list[MappedGroup]:
    """The groups that a part names."""
    found: list[MappedGroup] = []
    if part.group is not None and part.group.name is not None:
        if part.group.domain is None:
            raise MappingError("a group by name needs a domain")
        found.append(MappedGroup(part.group.name, part.group.domain))
    for name in part.groups or ():
        found.append(_group_said(name) if part.domain is None else MappedGroup(name, part.domain))
    return found


def _group_said(text: str) -> MappedGroup:
    """A group with its domain, as another cloud names the groups of its users."""
    if not text.startswith(_IN_JSON):
        raise MappingError("groups by name need a domain")
    try:
        return msgspec.json.decode(text.removeprefix(_IN_JSON), type=MappedGroup)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise MappingError(f"a group is not as it must be: {error}") from None


def _once(items: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(items))
