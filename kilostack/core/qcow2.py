"""What a disk image really is, read from its first bytes; one that could reach outside itself is refused."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Literal

DiskFormat = Literal["raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "qed", "parallels", "luks", "iso"]

#: How much of an image's beginning `inspect` wants to see; all of it where the image is smaller.
HEAD_BYTES: Final = 256 * 1024

_QCOW2_MAGIC: Final = b"QFI\xfb"
#: (offset, bytes found there, format)
_SIGNATURES: Final[tuple[tuple[int, bytes, DiskFormat], ...]] = (
    (0, b"KDMV", "vmdk"),
    (0, b"COWD", "vmdk"),
    (0, b"# Disk DescriptorFile", "vmdk"),
    (0, b"conectix", "vhd"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"QED\0", "qed"),
    (0, b"WithoutFreeSpace", "parallels"),
    (0, b"WithouFreSpacExt", "parallels"),
    (0, b"LUKS\xba\xbe", "luks"),
    (0x40, b"\x7f\x10\xda\xbe", "vdi"),
    (0x8001, b"CD001", "iso"),
)
#: magic, version, backing offset and length, cluster bits, size, encryption, L1 entries and offset,
#: refcount table's offset and clusters, snapshots and their offset
_HEADER: Final = struct.Struct(">4sIQIIQIIQQIIQ")
#: incompatible, compatible and autoclear features, refcount order, header length
_HEADER_V3: Final = struct.Struct(">QQQII")
_EXTENSION: Final = struct.Struct(">II")
_DIRTY, _CORRUPT, _DATA_FILE, _COMPRESSION, _EXTENDED_L2 = 1, 2, 4, 8, 16
_EXTENSION_DATA_FILE: Final = 0x44415441
_EXTENSION_ENCRYPTION: Final = 0x0537BE77
_MAX_L1_BYTES: Final = 32 << 20
_MAX_REFCOUNT_TABLE_BYTES: Final = 8 << 20
_MAX_SNAPSHOTS: Final = 65536


class ImageRefused(Exception):
    """The image may not be used. `reason` is a sentence for its owner."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What the bytes say. Only qcow2 has a virtual size of its own here; of all others it is their length."""

    disk_format: DiskFormat
    virtual_size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """The fixed part of a qcow2 header, version 2 read as the version 3 that means the same."""

    version: int
    backing_offset: int
    cluster_bits: int
    size: int
    encryption: int
    l1_entries: int
    l1_offset: int
    refcount_offset: int
    refcount_clusters: int
    snapshots: int
    snapshots_offset: int
    incompatible: int = 0
    refcount_order: int = 4
    length: int = _HEADER.size

    @property
    def cluster_bytes(self) -> int:
        return 1 << self.cluster_bits


def inspect(head: bytes, total_bytes: int) -> Inspected:
    """What an image of `total_bytes` beginning with `head` (HEAD_BYTES, or all of it) is, else `ImageRefused`."""
    if total_bytes <= 0 or not head:
        raise ImageRefused("The image is empty.")
    if len(head) > total_bytes or len(head) < min(total_bytes, HEAD_BYTES):
        raise ImageRefused("The image is cut off.")
    if head.startswith(_QCOW2_MAGIC):
        return _qcow2(head, total_bytes)
    for offset, magic, disk_format in _SIGNATURES:
        if head.startswith(magic, offset):
            return Inspected(disk_format=disk_format, virtual_size_bytes=total_bytes)
    return Inspected(disk_format="raw", virtual_size_bytes=total_bytes)


def check(declared: str, head: bytes, total_bytes: int) -> Inspected:
    """`inspect`, and refuse an image that is something else than its owner declared."""
    found = inspect(head, total_bytes)
    if found.disk_format != declared:
        raise ImageRefused(f"The image is declared as {declared}, but its content is {found.disk_format}.")
    return found


def _qcow2(head: bytes, total_bytes: int) -> Inspected:
    header = _read_header(head)
    if header.backing_offset:
        raise ImageRefused("The qcow2 image names a backing file.")
    if header.encryption:
        raise ImageRefused("The qcow2 image is encrypted.")
    _check_features(header, head)
    _check_extensions(header, head)
    _check_tables(header, total_bytes)
    return Inspected(disk_format="qcow2", virtual_size_bytes=header.size)


def _read_header(head: bytes) -> _Header:
    if len(head) < _HEADER.size:
        raise ImageRefused("The qcow2 header is cut off.")
    (_, version, backing, _, bits, size, encryption, l1_entries, l1, refcounts, clusters, count, snapshots) = (
        _HEADER.unpack_from(head)
    )
    if version not in (2, 3):
        raise ImageRefused(f"The qcow2 image has version {version}; 2 and 3 are known.")
    if not 9 <= bits <= 21:
        raise ImageRefused("The qcow2 header names an impossible cluster size.")
    incompatible, order, length = 0, 4, _HEADER.size
    if version == 3:
        if len(head) < _HEADER.size + _HEADER_V3.size:
            raise ImageRefused("The qcow2 header is cut off.")
        incompatible, _, _, order, length = _HEADER_V3.unpack_from(head, _HEADER.size)
        if length < _HEADER.size + _HEADER_V3.size or length % 8 or length > min(1 << bits, len(head)):
            raise ImageRefused("The qcow2 header names an impossible length of itself.")
    return _Header(
        version=version,
        backing_offset=backing,
        cluster_bits=bits,
        size=size,
        encryption=encryption,
        l1_entries=l1_entries,
        l1_offset=l1,
        refcount_offset=refcounts,
        refcount_clusters=clusters,
        snapshots=count,
        snapshots_offset=snapshots,
        incompatible=incompatible,
        refcount_order=order,
        length=length,
    )


def _check_features(header: _Header, head: bytes) -> None:
    if header.incompatible & _DATA_FILE:
        raise ImageRefused("The qcow2 image names an external data file.")
    if header.incompatible & _CORRUPT:
        raise ImageRefused("The qcow2 image is marked as corrupt.")
    if header.incompatible & ~(_DIRTY | _COMPRESSION | _EXTENDED_L2):
        raise ImageRefused("The qcow2 image uses unknown features.")
    if header.refcount_order > 6:
        raise ImageRefused("The qcow2 header names an impossible width of reference counts.")
    if header.incompatible & _EXTENDED_L2 and header.cluster_bits < 14:
        raise ImageRefused("The qcow2 header names an impossible cluster size.")
    compression = head[104] if header.length > 104 else 0
    if compression > 1 or bool(compression) != bool(header.incompatible & _COMPRESSION):
        raise ImageRefused("The qcow2 header names an unknown compression.")


def _check_extensions(header: _Header, head: bytes) -> None:
    """Header extensions fill the first cluster at most and end with an entry of type 0."""
    end = min(header.cluster_bytes, len(head))
    offset = header.length
    while offset + _EXTENSION.size <= end:
        kind, length = _EXTENSION.unpack_from(head, offset)
        if kind == 0:
            return
        if kind == _EXTENSION_DATA_FILE:
            raise ImageRefused("The qcow2 image names an external data file.")
        if kind == _EXTENSION_ENCRYPTION:
            raise ImageRefused("The qcow2 image is encrypted.")
        offset += _EXTENSION.size + length + (-length) % 8
    if offset > end or header.cluster_bytes > end:
        raise ImageRefused("The qcow2 header's extensions do not end where they must.")


def _check_tables(header: _Header, total_bytes: int) -> None:
    entry_bytes = 16 if header.incompatible & _EXTENDED_L2 else 8
    per_l1_entry = header.cluster_bytes * (header.cluster_bytes // entry_bytes)
    if header.size >= 1 << 63 or header.l1_entries * 8 > _MAX_L1_BYTES:
        raise ImageRefused("The qcow2 header names an absurd size.")
    if header.l1_entries * per_l1_entry < header.size:
        raise ImageRefused("The qcow2 header names a size that its tables cannot hold.")
    table_bytes = header.refcount_clusters * header.cluster_bytes
    if not header.refcount_clusters or table_bytes > _MAX_REFCOUNT_TABLE_BYTES:
        raise ImageRefused("The qcow2 header names an absurd table of reference counts.")
    if header.snapshots > _MAX_SNAPSHOTS:
        raise ImageRefused("The qcow2 header names an absurd number of snapshots.")
    tables = (
        (header.l1_entries, header.l1_offset, header.l1_entries * 8, header.cluster_bytes),
        # QEMU leaves the last table's cluster unwritten at the end of a file: its beginning must be there.
        (header.refcount_clusters, header.refcount_offset, 8, header.cluster_bytes),
        (header.snapshots, header.snapshots_offset, header.snapshots * 40, 8),
    )
    for entries, offset, length, alignment in tables:
        if not entries:
            continue
        if offset < header.cluster_bytes or offset % alignment or offset + length > total_bytes:
            raise ImageRefused("The qcow2 header names a table outside the image.")
