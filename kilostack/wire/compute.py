"""What compute tells a host (guests that should be) and what the host tells back (guests as seen)."""

from __future__ import annotations

from typing import Literal

import msgspec

#: Keys of the "compute" stream are "guest/<server id>".
GUEST_PREFIX = "guest/"


class ImageRef(msgspec.Struct, frozen=True, kw_only=True):
    """The image a guest's root disk starts from; the host fetches it once and checks `sha512`."""

    id: str
    disk_format: Literal["qcow2", "raw"]
    size_bytes: int
    sha512: str


class Nic(msgspec.Struct, frozen=True, kw_only=True):
    """One network card. The network part of the agent makes the tap before the guest starts."""

    port_id: str
    network_id: str
    mac: str
    tap: str
    mtu: int


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What the guest may learn about itself from the metadata service."""

    hostname: str
    name: str
    project_id: str
    user_id: str
    availability_zone: str
    launch_index: int = 0
    reservation_id: str = ""
    flavor: str = ""
    #: name -> OpenSSH public key line
    keys: dict[str, str] = {}
    #: base64, as the user sent it
    user_data: str | None = None
    meta: dict[str, str] = {}
    security_groups: tuple[str, ...] = ()


class Guest(msgspec.Struct, frozen=True, kw_only=True):
    """The desired guest of one server on one host."""

    id: str
    #: raised with every change of this object; reports name the one they have reached
    generation: int
    name: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    image: ImageRef
    nics: tuple[Nic, ...]
    power: Literal["on", "off"]
    #: how often the guest should have been started; a host whose count is lower (re)boots it by `boot_kind`
    boot: int
    boot_kind: Literal["soft", "hard"] = "hard"
    #: seconds that a guest is given to stop by ACPI before it is stopped hard
    stop_timeout_s: int = 60
    metadata: Metadata


class GuestReport(msgspec.Struct, frozen=True, kw_only=True):
    """A guest as its host sees it. Sent when it differs from what was last acknowledged."""

    id: str
    #: the newest desired generation that the host has made so, or has failed to make so
    generation: int
    #: absent: no process and no file of it is left on the host
    state: Literal["running", "stopped", "failed", "absent"]
    boot: int = 0
    #: why the state is "failed", in words for the owner of the server; no paths, no other tenants
    fault: str | None = None
    #: the guest stopped by its own doing (ACPI or halt inside), not by ours
    stopped_itself: bool = False


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a host has, sent when the connection starts."""

    hostname: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    #: "kvm", "tcg" or "simulated"
    accelerator: str
    hypervisor_type: str = "QEMU"
    hypervisor_version: int = 7002000
    cpu_arch: str = "x86_64"
    cpu_model: str = ""
    address: str = ""
    #: microseconds since 1970; None where the agent is older than this field
    booted_at: int | None = None
