"""How a command says that it could not do what was asked."""

from __future__ import annotations


class Failure(Exception):
    """Ends the command with a message for the person who typed it; `remedy` says what to do about it."""

    def __init__(self, message: str, remedy: str = "", *, code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.code = code

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message
