"""An operator's rules: a YAML or JSON file in oslo.policy's format, refused with its line when it could not work.

Stricter than oslo.policy, which takes what it does not understand and lets nobody (or, of an empty value, everybody)
pass: a file that says something else than its writer meant is found before the cloud serves anybody by it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from kilostack.core.policy import Policy, PolicyError, Rule
from kilostack.core.policy_language import listed, suggestion

_TEXT = "tag:yaml.org,2002:str"
_NOTHING = "tag:yaml.org,2002:null"
#: oslo.policy asks it for operations without a rule; here each has one
_DEFAULT = "default"


def read(path: Path, rules: Sequence[Rule]) -> dict[str, str]:
    """The rules in `path`, to be laid over `rules`. Raises `PolicyError`, whose text begins with FILE:LINE."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PolicyError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise PolicyError(f"{path}: not a text in UTF-8") from None
    found, lines = _parsed(path, text)
    _check_names(path, found, lines, rules)
    try:
        Policy(rules, found)
    except PolicyError as error:
        line = next((lines[name] for name in error.rules if name in lines), 1)
        raise PolicyError(f"{path}:{line}: {error}", *error.rules) from None
    found.pop(_DEFAULT, None)
    return found


def _parsed(path: Path, text: str) -> tuple[dict[str, str], dict[str, int]]:
    """The rules and the line of each."""
    try:
        document = yaml.compose(_spaced(text), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        hint = "; a rule that begins with @, ! or % needs quotes" if "cannot start any token" in str(error) else ""
        raise PolicyError(f"{path}:{line}: {error.problem or error.context}{hint}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise PolicyError(f"{path}:1: not YAML: {error}") from None
    if document is None:
        return {}, {}
    if not isinstance(document, yaml.MappingNode):
        raise _wrong(path, document, "the file must be a mapping of rules, NAME: CHECK")
    found: dict[str, str] = {}
    lines: dict[str, int] = {}
    for key, value in document.value:
        name = key.value
        if not isinstance(key, yaml.ScalarNode) or key.tag != _TEXT:
            raise _wrong(path, key, "the name of a rule must be a text")
        if name in found:
            raise _wrong(path, key, f"policy rule {name!r} stands in line {lines[name]} already")
        lines[name] = key.start_mark.line + 1
        found[name] = _check(path, name, value)
    return found, lines


def _spaced(text: str) -> str:
    """JSON may be indented with tabs, YAML may not; JSON has none inside of its texts."""
    if "\t" in text and text.lstrip().startswith("{"):
        try:
            json.loads(text)
        except ValueError:
            return text
        return text.replace("\t", " ")
    return text


def _check(path: Path, name: str, node: Any) -> str:
    if isinstance(node, yaml.SequenceNode):
        try:
            return listed(name, _plain(node))
        except PolicyError as error:
            raise _wrong(path, node, str(error)) from None
    if isinstance(node, yaml.ScalarNode) and node.tag == _TEXT:
        return str(node.value)
    if getattr(node, "tag", "") == _NOTHING:
        raise _wrong(
            path, node, f'policy rule {name!r} says nothing; write "@" for everybody or "!" for nobody, in quotes'
        )
    raise _wrong(path, node, f"policy rule {name!r}: a rule is a text, or a list of lists of texts")


def _plain(node: Any) -> Any:
    """Lists and texts of a node; what is neither stays a node, which nobody takes for a text."""
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    return node.value if isinstance(node, yaml.ScalarNode) and node.tag == _TEXT else node


def _wrong(path: Path, node: Any, why: str) -> PolicyError:
    return PolicyError(f"{path}:{node.start_mark.line + 1}: {why}")


def _check_names(path: Path, found: dict[str, str], lines: dict[str, int], rules: Iterable[Rule]) -> None:
    """A rule that is neither ours nor used by another would do nothing: it is a typing error."""
    known = {rule.name for rule in rules}
    for name in found:
        if name in known or name == _DEFAULT or any(f"rule:{name}" in _words(text) for text in found.values()):
            continue
        raise PolicyError(
            f"{path}:{lines[name]}: there is no rule {name!r}, and no other refers to it{suggestion(name, known)}", name
        )


def _words(text: str) -> list[str]:
    return text.replace("(", " ").replace(")", " ").split()
