"""Inspection of images: those of qemu-img are taken, headers that lie are refused, nothing else ever happens."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilostack.core.qcow2 import HEAD_BYTES, ImageRefused, Inspected, check, inspect

GIB = 1 << 30


def header(**changes: int) -> bytearray:
    """A good version 3 image of 1 GiB, 512 KiB long, with single fields changed."""
    fields = {
        "version": 3,
        "backing": 0,
        "backing_length": 0,
        "cluster_bits": 16,
        "size": GIB,
        "crypt": 0,
        "l1_size": 2,
        "l1_offset": 0x30000,
        "refcount_offset": 0x10000,
        "refcount_clusters": 1,
        "snapshots": 0,
        "snapshots_offset": 0,
        "incompatible": 0,
        "compatible": 0,
        "autoclear": 0,
        "refcount_order": 4,
        "header_length": 104,
    } | changes
    image = bytearray(HEAD_BYTES)
    struct.pack_into(">4sIQIIQIIQQIIQQQQII", image, 0, b"QFI\xfb", *fields.values())
    return image


def test_a_good_header_is_taken() -> None:
    assert inspect(bytes(header()), 1 << 19) == Inspected(disk_format="qcow2", virtual_size_bytes=GIB)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 1}, "version"),
        ({"version": 4}, "version"),
        ({"backing": 200, "backing_length": 11}, "backing file"),
        ({"version": 2, "backing": 200, "backing_length": 11}, "backing file"),
        ({"crypt": 1}, "encrypted"),
        ({"crypt": 2}, "encrypted"),
        ({"cluster_bits": 8}, "cluster size"),
        ({"cluster_bits": 22}, "cluster size"),
        ({"incompatible": 2}, "corrupt"),
        ({"incompatible": 4}, "data file"),
        ({"incompatible": 32}, "unknown features"),
        ({"incompatible": 1 << 63}, "unknown features"),
        ({"incompatible": 8}, "compression"),
        ({"incompatible": 16, "cluster_bits": 13}, "cluster size"),
        ({"refcount_order": 7}, "reference counts"),
        ({"header_length": 72}, "length of itself"),
        ({"header_length": 108}, "length of itself"),
        ({"header_length": 1 << 20}, "length of itself"),
        ({"size": 1 << 63}, "absurd size"),
        ({"size": 1 << 62}, "cannot hold"),
        ({"l1_size": 1}, "cannot hold"),
        ({"l1_size": 0}, "cannot hold"),
        ({"l1_size": (32 << 20) // 8 + 1}, "absurd size"),
        ({"l1_offset": 0}, "outside"),
        ({"l1_offset": 0x30008}, "outside"),
        ({"l1_offset": 1 << 20}, "outside"),
        ({"refcount_offset": 0}, "outside"),
        ({"refcount_offset": 1 << 40}, "outside"),
        ({"refcount_clusters": 0}, "reference counts"),
        ({"refcount_clusters": 129}, "reference counts"),
        ({"snapshots": 65537, "snapshots_offset": 0x40000}, "snapshots"),
        ({"snapshots": 1, "snapshots_offset": 1 << 40}, "outside"),
    ],
)
def test_a_header_that_lies_is_refused(changes: dict[str, int], reason: str) -> None:
    with pytest.raises(ImageRefused, match=reason):
        inspect(bytes(header(**changes)), 1 << 19)


@pytest.mark.parametrize(
    ("kind", "length", "reason"),
    [
        (0x44415441, 8, "data file"),
        (0x0537BE77, 16, "encrypted"),
        (0x6803F857, 1 << 31, "extensions"),
        (0x6803F857, 0xFFFF, "extensions"),
    ],
)
def test_bad_extensions_are_refused(kind: int, length: int, reason: str) -> None:
    image = header()
    struct.pack_into(">II", image, 104, kind, length)
    with pytest.raises(ImageRefused, match=reason):
        inspect(bytes(image), 1 << 19)


def test_an_extension_behind_a_harmless_one_is_seen() -> None:
    image = header()
    struct.pack_into(">II", image, 104, 0x6803F857, 10)
    struct.pack_into(">II", image, 104 + 8 + 16, 0x44415441, 8)
    with pytest.raises(ImageRefused, match="data file"):
        inspect(bytes(image), 1 << 19)


@pytest.mark.parametrize(
    ("offset", "magic", "disk_format"),
    [
        (0, b"KDMV", "vmdk"),
        (0, b"# Disk DescriptorFile", "vmdk"),
        (0, b"conectix", "vhd"),
        (0, b"vhdxfile", "vhdx"),
        (0x40, b"\x7f\x10\xda\xbe", "vdi"),
        (0x8001, b"CD001", "iso"),
        (510, b"\x55\xaa", "raw"),
        (512, b"EFI PART", "raw"),
    ],
)
def test_content_decides_what_a_raw_image_is(offset: int, magic: bytes, disk_format: str) -> None:
    image = bytearray(1 << 20)
    image[offset : offset + len(magic)] = magic
    assert inspect(bytes(image[:HEAD_BYTES]), len(image)).disk_format == disk_format
    if disk_format != "raw":
        with pytest.raises(ImageRefused, match=f"declared as raw, but its content is {disk_format}"):
            check("raw", bytes(image[:HEAD_BYTES]), len(image))


def test_a_qcow2_image_is_not_taken_for_raw_nor_the_other_way_round() -> None:
    with pytest.raises(ImageRefused, match="content is qcow2"):
        check("raw", bytes(header()), 1 << 19)
    with pytest.raises(ImageRefused, match="content is raw"):
        check("qcow2", bytes(512), 512)


def test_what_is_cut_off_or_empty_is_refused() -> None:
    for head, total in ((b"", 0), (b"", 10), (b"abc", 10), (b"abc", 2)):
        with pytest.raises(ImageRefused):
            inspect(head, total)


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["-o", "compat=0.10"],
        ["-o", "cluster_size=512"],
        ["-o", "cluster_size=2M"],
        ["-o", "extended_l2=on,cluster_size=128k"],
        ["-o", "compression_type=zstd"],
        ["-o", "lazy_refcounts=on"],
        ["-o", "preallocation=metadata"],
    ],
)
def test_images_of_qemu_img_are_taken(tmp_path: Path, options: list[str]) -> None:
    path = tmp_path / "image"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, path, "3G"], check=True)
    with path.open("rb") as file:
        assert check("qcow2", file.read(HEAD_BYTES), path.stat().st_size).virtual_size_bytes == 3 * GIB


def test_backing_and_data_files_of_qemu_img_are_refused(tmp_path: Path) -> None:
    base, over, split = tmp_path / "base", tmp_path / "over", tmp_path / "split"
    subprocess.run(["qemu-img", "create", "-q", "-f", "raw", base, "1M"], check=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", over], check=True)
    data = f"data_file={tmp_path / 'data'}"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", data, split, "1M"], check=True)
    for path, reason in ((over, "backing file"), (split, "data file")):
        with pytest.raises(ImageRefused, match=reason):
            inspect(path.read_bytes()[:HEAD_BYTES], path.stat().st_size)


@given(head=st.binary(max_size=600), more=st.integers(min_value=-700, max_value=1 << 40))
def test_any_bytes_end_in_an_answer_or_a_refusal(head: bytes, more: int) -> None:
    answer(head, len(head) + more)


@given(data=st.data())
def test_a_damaged_header_ends_in_an_answer_or_a_refusal(data: st.DataObject) -> None:
    image = header()
    for _ in range(data.draw(st.integers(min_value=1, max_value=6))):
        offset = data.draw(st.integers(min_value=4, max_value=200))
        piece = data.draw(st.sampled_from([b"\0", b"\xff", b"\x80", b"\xff" * 8, b"\x7f" * 4]) | st.binary(max_size=8))
        image[offset : offset + len(piece)] = piece
    answer(bytes(image), data.draw(st.sampled_from([HEAD_BYTES, 1 << 19, 1 << 62])))


def answer(head: bytes, total_bytes: int) -> None:
    try:
        found = inspect(head, total_bytes)
    except ImageRefused as refused:
        assert refused.reason.endswith(".")
    else:
        assert 0 <= found.virtual_size_bytes < 1 << 63
