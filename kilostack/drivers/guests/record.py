"""A guest's directory on its host: where its files are, and the little that must outlive its process."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from kilostack.drivers.guests.port import check_guest_id, is_guest_id

#: leaves room for the longest name below a run directory within the kernel's limit for socket paths
MAX_RUN_DIR_BYTES: Final = 107 - len("/0123456789abcdef.con")
_GONE: Final = ".gone-"
#: held for the read and the write of one update; verbs and events of a guest may meet
_UPDATE: Final = threading.Lock()


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a guest. `stopped` is empty from its start on, so that a process that is not there has died."""

    #: the cached image that its disk lies over
    image: str
    boot: int = 0
    stopped: Literal["", "asked", "itself"] = ""
    #: `stop` was called and has not ended
    stopping: bool = False

    def started(self, boot: int) -> Record:
        return msgspec.structs.replace(self, boot=boot, stopped="", stopping=False)

    def stop_begun(self) -> Record:
        return msgspec.structs.replace(self, stopping=True)

    def stop_ended(self) -> Record:
        return msgspec.structs.replace(self, stopped=self.stopped or "asked", stopping=False)

    def shut_down(self, boot: int) -> Record:
        """The guest of this boot was shut down from inside, by its own will or by the power button."""
        if self.boot != boot or self.stopped:
            return self
        return msgspec.structs.replace(self, stopped="asked" if self.stopping else "itself")


@dataclass(frozen=True, slots=True)
class GuestFiles:
    """The files of one guest."""

    id: str
    directory: Path
    run_dir: Path

    @property
    def disk(self) -> Path:
        return self.directory / "root.qcow2"

    @property
    def console(self) -> Path:
        return self.directory / "console.log"

    @property
    def errors(self) -> Path:
        return self.directory / "qemu.err"

    @property
    def pid(self) -> Path:
        return self.directory / "pid"

    @property
    def argv(self) -> Path:
        return self.directory / "argv.json"

    @property
    def monitor(self) -> Path:
        return self._socket("qmp")

    @property
    def console_socket(self) -> Path:
        return self._socket("con")

    def _socket(self, kind: str) -> Path:
        # Part of an id is enough: sixteen random hexadecimal digits do not meet twice on one host.
        return self.run_dir / f"{self.id.replace('-', '')[:16]}.{kind}"

    def read(self) -> Record | None:
        """The record; None when nothing of this guest is here."""
        try:
            return msgspec.json.decode((self.directory / "guest.json").read_bytes(), type=Record)
        except FileNotFoundError:
            return None

    def create(self, record: Record) -> None:
        """Write the first record, unless there is one."""
        with _UPDATE:
            if self.read() is None:
                self.directory.mkdir(mode=0o700, exist_ok=True)
                self._replace(self.directory / "guest.json", msgspec.json.encode(record))

    def update(self, change: Callable[[Record], Record]) -> None:
        """Change the record, if there still is one; the change is on disk when this returns."""
        with _UPDATE:
            record = self.read()
            if record is not None and (changed := change(record)) != record:
                self._replace(self.directory / "guest.json", msgspec.json.encode(changed))

    def write_argv(self, argv: list[str]) -> None:
        """Keep the command line, for whoever looks into the directory."""
        self._replace(self.argv, msgspec.json.format(msgspec.json.encode(argv), indent=1))

    @staticmethod
    def _replace(path: Path, content: bytes) -> None:
        part = path.with_name(f"{path.name}.part")
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    def forget_process(self) -> None:
        """Remove what a process that has ended leaves behind."""
        for path in (self.pid, self.monitor, self.console_socket):
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the directory; the guest is gone at once, its files soon after."""
        self.forget_process()
        gone = self.directory.with_name(_GONE + self.directory.name)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(gone)
        with contextlib.suppress(FileNotFoundError):
            with _UPDATE:
                self.directory.rename(gone)
            shutil.rmtree(gone)


class GuestDirectories:
    """All guests' directories under one state directory, with their sockets in `run_dir`."""

    def __init__(self, state_dir: Path, run_dir: Path) -> None:
        if len(os.fsencode(run_dir)) > MAX_RUN_DIR_BYTES:
            raise ValueError(f"{run_dir} is too long for sockets: at most {MAX_RUN_DIR_BYTES} bytes")
        self._root = state_dir / "guests"
        self._run_dir = run_dir

    def open(self) -> None:
        """Make the directories, and clear away what was cut off: removals, and beginnings without a record."""
        for directory in (self._root, self._run_dir):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for gone in self._root.glob(f"{_GONE}*"):
            shutil.rmtree(gone)
        for files in self:
            if files.read() is None:
                shutil.rmtree(files.directory)

    def of(self, guest_id: str) -> GuestFiles:
        return GuestFiles(check_guest_id(guest_id), self._root / guest_id, self._run_dir)

    def __iter__(self) -> Iterator[GuestFiles]:
        for directory in sorted(self._root.iterdir()):
            if is_guest_id(directory.name):
                yield self.of(directory.name)

    def images(self) -> set[str]:
        """The cached images that guests need."""
        return {record.image for files in self if (record := files.read())}
