"""Tokens say what was signed, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from kilostack.core.token import BadToken, Claims, PublicKeys, Signer, UnknownKey, key_id, public_bytes

_KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
_SIGNER = Signer(_KEY)
_PUBLICS = PublicKeys.of(public_bytes(_KEY))
_TEXTS = st.text(max_size=64)


def _claims(**fields: object) -> Claims:
    values: dict[str, object] = {
        "number": 7,
        "issued_at": 1_700_000_000_000_000,
        "expires_at": 1_700_003_600_000_000,
        "audit_ids": ("a" * 22,),
        "methods": ("password",),
        "user_id": "1" * 32,
        "user_name": "demo",
        "user_domain_id": "default",
        "user_domain_name": "Default",
    }
    return Claims(**(values | fields))  # type: ignore[arg-type]


_SCOPED = _claims(
    project_id="2" * 32,
    project_name="demo",
    project_domain_id="default",
    project_domain_name="Default",
    roles=tuple((str(at) * 32, name) for at, name in enumerate(("admin", "manager", "member", "reader"))),
)


@settings(deadline=None)
@given(name=_TEXTS, project=_TEXTS, roles=st.lists(st.tuples(_TEXTS, _TEXTS), max_size=4), system=st.booleans())
def test_what_is_signed_is_read(name: str, project: str, roles: list[tuple[str, str]], system: bool) -> None:
    claims = _claims(user_name=name, project_name=project, roles=tuple(roles), system=system)
    assert _PUBLICS.read(_SIGNER.sign(claims)) == claims


@settings(deadline=None)
@given(st.data())
def test_a_changed_character_is_noticed(data: st.DataObject) -> None:
    text = _SIGNER.sign(_SCOPED)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("ABCZaz059-_").filter(lambda letter: letter != text[at]))
    changed = text[:at] + other + text[at + 1 :]
    try:
        assert _PUBLICS.read(changed) == _SCOPED  # bits beyond the last byte carry nothing
        assert at == len(text) - 1
    except BadToken:
        pass


@pytest.mark.parametrize("text", ["", "x", "AAAA", "ä" * 100, "A" * 10_000, "%2F", "gAAAAABk" * 20, " " * 200, "\x00"])
def test_garbage_is_no_token(text: str) -> None:
    with pytest.raises(BadToken):
        _PUBLICS.read(text)


def test_a_token_is_written_in_one_way_only() -> None:
    text = _SIGNER.sign(_SCOPED)
    for other in (text + "=", text[:48] + "...." + text[48:], text[:50] + " " + text[50:], text + "\n"):
        with pytest.raises(BadToken):
            _PUBLICS.read(other)


def test_another_clouds_token_is_refused() -> None:
    stranger = Signer(Ed25519PrivateKey.from_private_bytes(b"s" * 32))
    with pytest.raises(UnknownKey):
        _PUBLICS.read(stranger.sign(_SCOPED))


def test_another_key_under_a_known_name_is_refused() -> None:
    stranger = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
    text = Signer(stranger).sign(_SCOPED)
    lying = PublicKeys({key_id(public_bytes(stranger)): public_bytes(_KEY)})
    with pytest.raises(BadToken):
        lying.read(text)


def test_tokens_fit_into_headers() -> None:
    assert len(_SIGNER.sign(_SCOPED)) < 1024


def test_the_context_holds_what_the_claims_say() -> None:
    ctx = _SCOPED.context()
    assert (ctx.user_id, ctx.project_id, ctx.roles) == ("1" * 32, "2" * 32, ("admin", "manager", "member", "reader"))
    assert (ctx.audit_id, ctx.system, ctx.request_id) == ("a" * 22, False, "")


def test_each_scope_has_the_subjects_that_end_it() -> None:
    user = "1" * 32
    assert {
        f"user {user} project {'2' * 32} {'0' * 32}",
        f"project {'2' * 32}",
        "domain default",
        f"role {'0' * 32}",
    } <= set(_SCOPED.subjects())
    some = (("r", "some"),)
    assert f"user {user} system all r" in _claims(system=True, roles=some).subjects()
    assert {f"user {user} domain d r", "domain d"} <= set(_claims(domain_id="d", roles=some).subjects())
    assert "credential c" in _claims(credential_id="c").subjects()
