"""The configuration file: what it says holds, what it cannot mean is refused with its place."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from kilostack.assembly.configuration import BadConfiguration, Configuration, load

_REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"


def test_without_a_file_the_defaults_hold() -> None:
    assert load(None) == Configuration()


def test_what_the_file_says_holds_and_the_rest_is_default(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[identity]\ntoken_life_s = 60\nlimit_model = "strict_two_level"\n[identity.passwords]\n')
    found = load(file).identity
    assert (found.token_life_s, found.limit_model, found.region) == (60, "strict_two_level", "RegionOne")


def test_a_secret_is_read_from_the_file_that_its_key_names(tmp_path: Path) -> None:
    secret, file = tmp_path / "secret", tmp_path / "c.toml"
    secret.write_text("canary\n")
    file.write_text(f'[identity.client_secrets]\n"https://login.example" = "{secret}"\n')
    found = load(file)
    assert found.identity.client_secrets["https://login.example"].reveal() == "canary"
    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[idenity]", "unknown key 'idenity'; did you mean 'identity'?"),
        ("[identity.passwords]\nlockout_attempts = 1", "did you mean 'identity.passwords.lockout_failure_attempts'?"),
        ("[identity]\nqqq = 1", "unknown key 'identity.qqq'; known are authorization_ttl_min"),
        ('[identity]\ntoken_life_s = "long"', "identity.token_life_s"),
        ('[identity]\nlimit_model = "loose"', "identity.limit_model"),
        ("[identity.passwords]\nlockout_duration_s = -1", "lockout_duration_s is -1"),
        ('[identity.passwords]\npassword_regex = "("', "password_regex '(' is no pattern"),
        ("identity = 5", "Expected `object`"),
        ('[identity.client_secrets]\na = "/nowhere"', "secret file /nowhere: No such file"),
        ("identity", "Expected '='"),
        ("[identity]\ntoken_life_s = 0", "token_life_s"),
    ],
)
def test_what_it_cannot_mean_is_refused_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(BadConfiguration) as refused:
        load(file)
    assert str(refused.value).startswith(f"{file}: ") and told in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="No such file"):
        load(tmp_path / "nothing")


def test_the_reference_names_every_key_and_can_be_loaded(tmp_path: Path) -> None:
    text = _REFERENCE.read_text().partition("```toml\n")[2].partition("```")[0]
    secret, file = tmp_path / "secret", tmp_path / "c.toml"
    secret.write_text("s")
    file.write_text(text.replace("/etc/kilostack/login.secret", str(secret)))
    identity = load(file).identity
    # what has no default that could be written down has an example
    assert identity.public_url == "https://cloud.example"
    for kind in (type(identity), type(identity.passwords)):
        for field in msgspec.structs.fields(kind):
            assert f"{field.name} = " in text or f".{field.name}]" in text, field.name
