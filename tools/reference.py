"""Writes docs/reference anew, as `python -m tools.reference`."""

from __future__ import annotations

from pathlib import Path

from kilostack.assembly.reference import pages

WHERE = Path(__file__).parent.parent / "docs/reference"


def main() -> None:
    """Write every page."""
    WHERE.mkdir(exist_ok=True)
    for name, text in pages().items():
        (WHERE / name).write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
