"""Blobs in memory: the simulated twin, with the same outcomes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from kilostack.drivers.blobs.port import HEAD_BYTES, Incoming, NoSpace, Reader, Received


class MemoryBlobs:
    """Outlives a simulated process when it is handed to the next one; `capacity_bytes` is how much fits."""

    def __init__(self, capacity_bytes: int = 1 << 40) -> None:
        self._capacity = capacity_bytes
        self._whole: dict[str, bytes] = {}
        self._arriving: dict[tuple[str, str], bytearray] = {}

    def _free(self) -> int:
        used = sum(map(len, self._whole.values())) + sum(map(len, self._arriving.values()))
        return self._capacity - used

    async def room(self) -> int:
        return self._free()

    async def receive(self, name: str, attempt: str) -> Incoming:
        if (name, attempt) in self._arriving:
            raise FileExistsError(f"{name}.{attempt}")
        self._arriving[name, attempt] = bytearray()
        return _IncomingBytes(self, name, attempt)

    async def open(self, name: str) -> Reader:
        if name not in self._whole:
            raise FileNotFoundError(name)
        return _BytesReader(self._whole[name])

    async def remove(self, name: str) -> None:
        self._whole.pop(name, None)

    async def names(self) -> list[str]:
        return sorted(self._whole)

    async def clear_unfinished(self) -> int:
        left = len(self._arriving)
        self._arriving.clear()
        return left


class _IncomingBytes:
    def __init__(self, place: MemoryBlobs, name: str, attempt: str) -> None:
        self._place, self._name, self._attempt = place, name, attempt
        self._kept = False

    @property
    def _data(self) -> bytearray:
        return self._place._arriving[self._name, self._attempt]

    async def write(self, parts: Sequence[bytes]) -> None:
        for part in parts:
            if len(part) > self._place._free():
                raise NoSpace("the memory set aside is full")
            self._data.extend(part)

    async def received(self) -> Received:
        data = bytes(self._data)
        return Received(
            size_bytes=len(data),
            md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
            sha512=hashlib.sha512(data).hexdigest(),
            head=data[:HEAD_BYTES],
        )

    async def keep(self) -> None:
        self._place._whole[self._name] = bytes(self._data)
        del self._place._arriving[self._name, self._attempt]
        self._kept = True

    async def drop(self) -> None:
        if self._kept:
            self._place._whole.pop(self._name, None)
        self._place._arriving.pop((self._name, self._attempt), None)


class _BytesReader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)

    async def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def close(self) -> None:
        """Nothing is held."""
