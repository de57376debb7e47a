"""Values that must never be shown."""

from __future__ import annotations

from typing import NoReturn


class Secret:
    """Holds a secret text: no repr, no equality by accident, no pickling, no JSON."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself; call it only where it is used."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not serialized")
