"""A guest of 512 bytes for tests of the driver: it boots in no time, hears the power button and one key."""

from __future__ import annotations

_ORIGIN = 0x7C00
_READY = b"sector: ready\r\n\0"


def image(*, hears_power_button: bool = True) -> bytes:
    """A raw disk. The guest says that it is ready, and shuts down at the power button or at a "p" on its console."""
    # PM1 enable register of q35: the button's status bit rises only where it is enabled.
    enable = bytes([0xBA, 0x02, 0x06, 0xB8, 0x00, 0x01, 0xEF]) if hears_power_button else b""
    head = bytes([0x31, 0xC0, 0x8E, 0xD8]) + enable + bytes([0xFC, 0xBA, 0xF8, 0x03, 0xBE])
    say = bytes([0xAC, 0x08, 0xC0, 0x74, 0x03, 0xEE, 0xEB, 0xF8])  # lodsb; or al,al; jz +3; out dx,al; jmp -8
    loop = bytes(
        [
            *(0xFB, 0xF4),  # sti; hlt: the timer wakes it eighteen times a second
            *(0xBA, 0xFD, 0x03, 0xEC, 0xA8, 0x01, 0x74, 0x08),  # is there a key? else skip the next four
            *(0xBA, 0xF8, 0x03, 0xEC, 0x3C, 0x70, 0x74, 0x09),  # is it "p"? then off
            *(0xBA, 0x00, 0x06, 0xED, 0xF6, 0xC4, 0x01, 0x74, 0xE5),  # was the button pressed? else again
        ]
    )
    off = bytes([0xBA, 0x04, 0x06, 0xB8, 0x00, 0x20, 0xEF, 0xEB])
    code = head + b"\0\0" + say + loop + off
    code += bytes([256 - (len(loop) + len(off) + 1)])
    text = (_ORIGIN + len(code)).to_bytes(2, "little")
    code = head + text + code[len(head) + 2 :]
    sector = (code + _READY).ljust(510, b"\0") + b"\x55\xaa"
    return sector.ljust(1 << 20, b"\0")
