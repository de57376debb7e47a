"""Who typed the command, and so whom everything that it makes belongs to."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Owner:
    """A user of this machine."""

    uid: int
    gid: int
    #: login name; empty for a user id without one
    login: str
    home: Path


def who_typed(environ: Mapping[str, str]) -> Owner:
    """The person at the keyboard: behind sudo, the one who called it."""
    uid = os.geteuid()
    if uid == 0 and environ.get("SUDO_UID", "0").isdigit() and (sudo_uid := int(environ.get("SUDO_UID", "0"))):
        return of_ids(sudo_uid, int(environ.get("SUDO_GID", "0") or 0), None)
    return of_ids(uid, os.getegid(), environ.get("HOME"))


def of_ids(uid: int, gid: int, home: str | None) -> Owner:
    """The user with these ids; `home` wins over what the user database says."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Owner(uid, gid, "", Path(home or "/"))
    return Owner(uid, gid, entry.pw_name, Path(home or entry.pw_dir))


def assume(owner: Owner) -> None:
    """Act as `owner` from here on, keeping the way back to root for `as_root`. Nothing to do for who is not root."""
    if os.geteuid() != 0 or owner.uid == 0:
        return
    if owner.login:
        os.initgroups(owner.login, owner.gid)
    else:
        os.setgroups([owner.gid])
    os.setegid(owner.gid)
    os.seteuid(owner.uid)


def can_be_root() -> bool:
    """Whether `as_root` can give root without asking anybody."""
    return 0 in os.getresuid()


@contextmanager
def as_root() -> Iterator[None]:
    """Root again for the block, where `assume` left the way back open."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 or not can_be_root():
        yield
        return
    os.seteuid(0)
    os.setegid(0)
    try:
        yield
    finally:
        os.setegid(gid)
        os.seteuid(uid)
