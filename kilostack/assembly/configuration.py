"""The configuration file of a cloud: one TOML file, one table per service.

Every key has a default. A key that is not known is refused with the one that was probably meant; a value of another
kind or out of range is refused with its place.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from kilostack.core.secret import Secret
from kilostack.identity.app.settings import IdentitySettings


class BadConfiguration(ValueError):
    """The file cannot be used; the text begins with its path, names the place and says what would be right."""


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """What may be set of a cloud beside the options of `kilostack up`."""

    identity: IdentitySettings = IdentitySettings()


def load(file: Path | None) -> Configuration:
    """What the file says, over the defaults. Raises `BadConfiguration`."""
    if file is None:
        return Configuration()
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadConfiguration(f"{file}: {getattr(error, 'strerror', None) or error}") from None
    _check_names(file, values, Configuration, "")
    try:
        return msgspec.convert(values, Configuration, dec_hook=_decoded)
    except msgspec.ValidationError as error:
        raise BadConfiguration(f"{file}: {error}".replace(" - at `$.", " - at `")) from None


def _check_names(file: Path, values: Mapping[str, Any], kind: type[msgspec.Struct], place: str) -> None:
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for name, value in values.items():
        if name not in fields:
            near = difflib.get_close_matches(name, fields, 1)
            hint = f"did you mean {place + near[0]!r}?" if near else f"known are {', '.join(sorted(fields))}"
            raise BadConfiguration(f"{file}: unknown key {place + name!r}; {hint}")
        if isinstance(value, dict) and isinstance(fields[name], type) and issubclass(fields[name], msgspec.Struct):
            _check_names(file, value, fields[name], f"{place}{name}.")


def _decoded(kind: type, value: Any) -> Any:
    """A secret is never in the file itself: its key names the file that holds it."""
    if kind is not Secret or not isinstance(value, str):
        raise ValueError("name a file that holds the secret")
    try:
        return Secret(Path(value).read_text(encoding="utf-8").strip())
    except (OSError, ValueError) as error:
        raise ValueError(f"secret file {value}: {getattr(error, 'strerror', None) or error}") from None
