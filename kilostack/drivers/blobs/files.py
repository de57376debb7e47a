"""Blobs as files of one directory: written under a hidden name, synced, renamed, and the directory synced."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from kilostack.core.world import World
from kilostack.drivers.blobs.port import HEAD_BYTES, Incoming, NoSpace, Reader, Received

_UNFINISHED = ".in-"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LOOK_EVERY = 16 << 20
_PIECE = 1 << 20


class FileBlobs:
    """`reserve_bytes` are left free, since databases may share the disk."""

    def __init__(self, directory: Path, world: World, reserve_bytes: int = 256 << 20) -> None:
        self._directory, self._world, self._reserve = directory, world, reserve_bytes
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def room(self) -> int:
        return await self._world.in_thread(free_bytes, self._directory, self._reserve)

    async def receive(self, name: str, attempt: str) -> Incoming:
        path = self._directory / f"{_UNFINISHED}{name}.{attempt}"
        file = await self._world.in_thread(_create, path)
        return _IncomingFile(file, path, self._directory / name, self._world, self._reserve)

    async def open(self, name: str) -> Reader:
        return _FileReader(await self._world.in_thread(_open, self._directory / name), self._world)

    async def remove(self, name: str) -> None:
        await self._world.in_thread(_unlink, self._directory / name)

    async def names(self) -> list[str]:
        found = await self._world.in_thread(os.listdir, self._directory)
        return sorted(name for name in found if not name.startswith("."))

    async def clear_unfinished(self) -> int:
        found = await self._world.in_thread(os.listdir, self._directory)
        left = [name for name in found if name.startswith(_UNFINISHED)]
        for name in left:
            await self._world.in_thread(_unlink, self._directory / name)
        return len(left)


class _IncomingFile:
    def __init__(self, file: Any, path: Path, final: Path, world: World, reserve: int) -> None:
        self._file, self._path, self._final, self._world, self._reserve = file, path, final, world, reserve
        self._md5, self._sha512 = hashlib.md5(usedforsecurity=False), hashlib.sha512()
        self._head = bytearray()
        self._size = self._looked_at = 0
        self._kept = False

    async def write(self, parts: Sequence[bytes]) -> None:
        await self._world.in_thread(self._write, parts)

    def _write(self, parts: Sequence[bytes]) -> None:
        if self._size >= self._looked_at:
            self._looked_at = self._size + _LOOK_EVERY
            if free_bytes(self._path.parent, self._reserve) <= 0:
                raise NoSpace(f"less than {self._reserve >> 20} MiB are free")
        try:
            for part in parts:
                self._file.write(part)
                self._md5.update(part)
                self._sha512.update(part)
                self._size += len(part)
                if len(self._head) < HEAD_BYTES:
                    self._head += part[: HEAD_BYTES - len(self._head)]
        except OSError as error:
            raise _told(error) from error

    async def received(self) -> Received:
        return Received(
            size_bytes=self._size,
            md5=self._md5.hexdigest(),
            sha512=self._sha512.hexdigest(),
            head=bytes(self._head),
        )

    async def keep(self) -> None:
        await self._world.in_thread(self._keep)

    def _keep(self) -> None:
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._path.rename(self._final)
            self._kept = True
            _sync_directory(self._final.parent)
        except OSError as error:
            raise _told(error) from error

    async def drop(self) -> None:
        await self._world.in_thread(self._drop)

    def _drop(self) -> None:
        # closing writes what is still buffered, which may fail on a full disk
        with suppress(OSError):
            self._file.close()
        _unlink(self._final if self._kept else self._path)


class _FileReader:
    def __init__(self, file: Any, world: World) -> None:
        self._file, self._world = file, world
        self.size_bytes = os.fstat(file.fileno()).st_size

    async def read(self, offset: int, length: int) -> bytes:
        return await self._world.in_thread(os.pread, self._file.fileno(), length, offset)

    def close(self) -> None:
        self._file.close()


async def file_chunks(path: Path, world: World) -> AsyncIterator[bytes]:
    """The content of a file, piece by piece."""
    file = await world.in_thread(_open, path)
    try:
        while piece := await world.in_thread(file.read, _PIECE):
            yield piece
    finally:
        file.close()


async def head_of(path: Path, world: World) -> tuple[bytes, int]:
    """The first `HEAD_BYTES` of a file, and its size."""
    return await world.in_thread(_head_of, path)


def _head_of(path: Path) -> tuple[bytes, int]:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES), os.fstat(file.fileno()).st_size


def free_bytes(directory: Path, reserve: int) -> int:
    """What an ordinary user may still write there, less `reserve`."""
    found = os.statvfs(directory)
    return max(0, found.f_bavail * found.f_frsize - reserve)


def _told(error: OSError) -> Exception:
    return NoSpace(os.strerror(error.errno or 0)) if error.errno in _FULL else error


def _create(path: Path) -> Any:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=_PIECE)


def _open(path: Path) -> Any:
    return path.open("rb", buffering=0)


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
