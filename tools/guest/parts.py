"""Finds what the guest image is made of: packages, libraries that programs need, kernel modules in loading order."""

from __future__ import annotations

import contextlib
import lzma
import os
import re
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

EPOCH = "1700000000"
KERNELS = ("linux-image-cloud-amd64", "linux-image-virtual", "linux-image-amd64")


class Failed(Exception):
    """The image cannot be built here; says why."""


def run(*argv: str, cwd: Path | None = None, stdin: str | None = None) -> str:
    """What a program printed. The sbin directories are where file system tools live, also for ordinary users."""
    environment = os.environ | {
        "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin",
        "LC_ALL": "C",
        "SOURCE_DATE_EPOCH": EPOCH,
        "MTOOLS_SKIP_CHECK": "1",
    }
    done = subprocess.run(argv, cwd=cwd, input=stdin, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-600:]
        raise Failed(f"{' '.join(argv[:4])} ended with {done.returncode}: {said}")
    return done.stdout


def depends(package: str) -> list[str]:
    text = run("apt-cache", "depends", "--important", "--no-recommends", "--no-suggests", package)
    return re.findall(r"^\s*\|?(?:Pre)?Depends: ([a-z0-9][a-z0-9+.-]*)", text, re.MULTILINE)


def kernel_packages() -> tuple[str, list[str]]:
    """The release of the kernel that the distribution means for clouds, and the packages that hold it."""
    for name in KERNELS:
        try:
            found = depends(name)
        except Failed:
            continue
        for image in found:
            if image.startswith("linux-image-") and image[len("linux-image-")].isdigit():
                modules = [p for p in depends(image) if p.startswith("linux-modules-")]
                return image.removeprefix("linux-image-"), [image, *modules]
    raise Failed("apt knows no kernel package; run: apt-get update")


def libraries_of(packages: Iterable[str]) -> list[str]:
    """Every library package below `packages`; which of their files are needed is decided later, by the programs."""
    seen: dict[str, None] = {}
    queue = list(packages)
    while queue:
        for package in depends(queue.pop()):
            if "lib" in package and package not in seen:
                seen[package] = None
                queue.append(package)
    return list(seen)


def unpack(packages: Iterable[str], where: Path) -> Path:
    """Download packages and unpack them into one tree."""
    where.mkdir()
    debs = where / "debs"
    debs.mkdir()
    where.chmod(0o755)
    debs.chmod(0o777)  # apt gives up root while it downloads
    run("apt-get", "-qq", "download", *packages, cwd=debs)
    tree = where / "tree"
    for deb in sorted(debs.glob("*.deb")):
        run("dpkg-deb", "-x", str(deb), str(tree))
    return tree


def find(tree: Path, name: str) -> Path:
    """The regular file called `name`, through links that stay inside the tree."""
    for path in sorted(tree.rglob(name)):
        with contextlib.suppress(OSError):
            target = path
            while target.is_symlink():
                link = os.readlink(target)
                target = tree / link.lstrip("/") if link.startswith("/") else target.parent / link
            if target.is_file():
                return target
    raise Failed(f"no package holds {name}")


def needed(program: Path) -> tuple[list[str], str | None]:
    """The libraries that an ELF64 program names, and its interpreter."""
    data = program.read_bytes()
    if data[:5] != b"\x7fELF\x02":
        raise Failed(f"{program.name} is not an ELF64 program")
    (table,), (size, count) = struct.unpack_from("<Q", data, 32), struct.unpack_from("<HH", data, 54)
    loads, dynamic, interpreter = [], b"", None
    for number in range(count):
        kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", data, table + number * size)
        if kind == 1:
            loads.append((address, offset, length))
        elif kind == 2:
            dynamic = data[offset : offset + length]
        elif kind == 3:
            interpreter = data[offset : offset + length].rstrip(b"\0").decode()
    entries = list(struct.iter_unpack("<qQ", dynamic[: len(dynamic) // 16 * 16]))
    strings = next((value for tag, value in entries if tag == 5), 0)
    base = next((offset + strings - address for address, offset, length in loads if 0 <= strings - address < length), 0)
    names = [base + value for tag, value in entries if tag == 1]
    return [data[name : data.index(b"\0", name)].decode() for name in names], interpreter


class Modules:
    """The kernel's modules: order of loading, and files to copy (unpacked, so that a plain insmod loads them)."""

    def __init__(self, tree: Path, release: str) -> None:
        roots = [root for root in (tree / "lib/modules" / release, tree / "usr/lib/modules" / release) if root.is_dir()]
        if not roots:
            raise Failed(f"the kernel package holds no modules for {release}")
        self._paths = {
            path.name.split(".")[0].replace("-", "_"): path for root in roots for path in root.rglob("*.ko*")
        }
        builtin = [line for root in roots for line in self._lines(root / "modules.builtin")]
        self._builtin = {Path(line).stem.replace("-", "_") for line in builtin}

    @staticmethod
    def _lines(path: Path) -> list[str]:
        return path.read_text().split() if path.exists() else []

    def content(self, name: str) -> bytes:
        path = self._paths[name]
        if path.suffix == ".xz":
            return lzma.decompress(path.read_bytes())
        if path.suffix == ".zst":
            return subprocess.run(["zstd", "-dcq", str(path)], check=True, capture_output=True).stdout
        return path.read_bytes()

    def order(self, wanted: Iterable[str]) -> list[str]:
        """`wanted` and what they depend on, each after its dependencies; built-in ones are left out."""
        done: list[str] = []

        def add(name: str) -> None:
            if name in done or name in self._builtin:
                return
            if name not in self._paths:
                raise Failed(f"the kernel has no module {name}")
            found = re.search(rb"\0depends=([^\0]*)\0", self.content(name))
            for other in found[1].decode().replace("-", "_").split(",") if found else ():
                if other:
                    add(other)
            done.append(name)

        for name in wanted:
            add(name)
        return done

    def install(self, names: Iterable[str], where: Path) -> None:
        where.mkdir(parents=True, exist_ok=True)
        order = list(names)
        for name in order:
            (where / f"{name}.ko").write_bytes(self.content(name))
        (where / "order").write_text("".join(f"{name}.ko\n" for name in order))
