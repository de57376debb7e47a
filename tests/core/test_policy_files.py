"""Operators' files: what they may say, and that a wrong one is refused with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kilostack.core.context import Context
from kilostack.core.policy import Policy, PolicyError, Rule
from kilostack.core.policy_files import read

RULES = (
    Rule("admin_required", "role:admin", scope_types=()),
    Rule("identity:get_user", "rule:admin_required"),
    Rule("identity:list_users", "rule:admin_required"),
)


def _allowed(path: Path, text: str, name: str, *roles: str, **target: object) -> bool:
    path.write_text(text)
    ctx = Context(request_id="", user_id="u1", project_id="p1", roles=roles)
    return Policy(RULES, read(path, RULES)).allows(ctx, name, target)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "policy.yaml"


@pytest.mark.parametrize(
    "text",
    [
        '"identity:get_user": "role:auditor or rule:admin_required"\n',
        "# comment\nidentity:get_user: role:auditor\n",
        "identity:get_user: >\n  role:nobody or\n  (role:auditor and project_id:%(project_id)s)\n",
        json.dumps({"identity:get_user": "role:auditor"}),
        '{\n\t"identity:get_user":\t"role:auditor"\n}',
        json.dumps({"identity:get_user": [["role:auditor"], ["role:a", "role:b"]]}),
        "identity:get_user:\n- role:auditor\n- [role:a, role:b]\n",
        "identity:get_user: rule:auditors\nauditors: role:auditor\n",
        "admin_required: role:auditor\n",
        "default: '!'\nidentity:get_user: role:AUDITOR\n",
    ],
)
def test_every_form_means_what_it_says(file: Path, text: str) -> None:
    assert _allowed(file, text, "identity:get_user", "auditor", project_id="p1")
    assert not _allowed(file, text, "identity:get_user", "someone", project_id="p1")


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("identity:get_user: ''\n", True),
        ("identity:get_user: '@'\n", True),
        ("identity:get_user: '!'\n", False),
        ("identity:get_user: []\n", True),
        ("identity:get_user: [[]]\n", False),
        ("identity:get_user: [[role:a, role:b]]\n", False),
        ("identity:get_user: [[role:a, 'not'], role:a]\n", None),
    ],
)
def test_everybody_and_nobody(file: Path, text: str, allowed: bool | None) -> None:
    if allowed is None:
        with pytest.raises(PolicyError, match="not one check"):
            _allowed(file, text, "identity:get_user", "a")
    else:
        assert _allowed(file, text, "identity:get_user", "a") is allowed


def test_an_empty_file_changes_nothing(file: Path) -> None:
    assert _allowed(file, "# nothing yet\n", "identity:get_user", "admin")
    assert not _allowed(file, "", "identity:get_user", "member")


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("identity:list_users: '@'\nidentity:get_usr: role:a\n", 2, "did you mean 'identity:get_user'?"),
        ("\n\nidentity:get_user: (role:a\n", 3, r"'\)' is missing"),
        ("identity:get_user: role:a and\n", 1, "missing at the end"),
        ("identity:get_user: role:a role:b\n", 1, "unexpected 'role:b'"),
        ("identity:get_user: anybody\n", 1, "not KIND:VALUE"),
        ("identity:get_user: rule:admin_requird\n", 1, "did you mean 'admin_required'?"),
        ("identity:get_user: projct_id:%(project_id)s\n", 1, "did you mean 'project_id'?"),
        ("identity:get_user: project_id:%(project_id)\n", 1, "after a '%'"),
        ("identity:get_user: http://elsewhere/check\n", 1, "nothing that is known of a caller"),
        ("a: rule:b\nb: rule:a\nidentity:get_user: rule:a\n", 1, "refers to itself"),
        ("admin_required: rule:identity:get_user\n", 1, "refers to itself"),
        ("identity:get_user: role:a\nidentity:get_user: role:b\n", 2, "stands in line 1 already"),
        ("x: 1\nidentity:get_user:\n", 1, "a rule is a text"),
        ("identity:get_user:\n", 1, "says nothing"),
        ("identity:get_user: true\n", 1, "a rule is a text"),
        ("identity:get_user: !\n", 1, "in quotes"),
        ("identity:list_users: '@'\nidentity:get_user: @\n", 2, "needs quotes"),
        ("identity:get_user: {role: a}\n", 1, "a rule is a text"),
        ("identity:get_user: [[1]]\n", 1, "a list of lists"),
        ("- identity:get_user\n", 1, "must be a mapping"),
        ("just words\n", 1, "must be a mapping"),
        ('{"identity:get_user": "role:a",\n "identity:list_users": }', 2, "says nothing"),
        ("a: [1\nb: 2\n", 2, "expected"),
        ("a: b: c\n", 1, "mapping values"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(file: Path, text: str, line: int, why: str) -> None:
    file.write_text(text)
    with pytest.raises(PolicyError, match=why) as caught:
        read(file, RULES)
    assert str(caught.value).startswith(f"{file}:{line}: ")


def test_a_file_that_cannot_be_read(file: Path) -> None:
    with pytest.raises(PolicyError, match=f"^{file}: No such file"):
        read(file, RULES)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PolicyError, match=r"policy\.yaml"):
        read(file, RULES)


def test_the_scopes_of_an_operation_stay(file: Path) -> None:
    """As with oslo.policy, a file says who may, not in which scope."""
    file.write_text("identity:get_user: '@'\n")
    policy = Policy(RULES, read(file, RULES))
    assert policy.allows(Context(request_id="", project_id="p"), "identity:get_user", {})
    assert not policy.allows(Context(request_id="", system=True, roles=("admin",)), "identity:get_user", {})
