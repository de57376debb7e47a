"""Microversions: what a header asks for, and what is offered. Source: the API-SIG's microversion specification."""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from kilostack.core.errors import BadRequest, NotAcceptable
from kilostack.http.messages import Version

_FORM = re.compile(r"([1-9]\d*)\.([1-9]\d*|0)")


@lru_cache(maxsize=1024)
def parse(text: str) -> Version:
    """(2, 96) of "2.96". Raises `BadRequest`."""
    if (match := _FORM.fullmatch(text)) is None:
        raise BadRequest(f"Invalid version string {text!r}: it must be of the form MajorNum.MinorNum.")
    return int(match[1]), int(match[2])


class Microversions(msgspec.Struct, frozen=True):
    """The range that one service offers, and the headers that ask for one."""

    #: service type in `OpenStack-API-Version: TYPE N.M`
    service_type: str
    minimum: Version
    maximum: Version
    #: an older header of this service alone, for example "x-openstack-nova-api-version"
    legacy_header: str = ""

    def asked(self, headers: dict[str, str]) -> Version:
        """The version that a request asks for; the minimum when it asks for none."""
        wanted = self._header(headers)
        if wanted is None:
            return self.minimum
        if wanted == "latest":
            return self.maximum
        version = parse(wanted)
        if not self.minimum <= version <= self.maximum:
            raise NotAcceptable(
                f"Version {wanted} is not supported by the API. "
                f"Minimum is {show(self.minimum)} and maximum is {show(self.maximum)}.",
                minimum=self.minimum,
                maximum=self.maximum,
            )
        return version

    def _header(self, headers: dict[str, str]) -> str | None:
        found = None
        for part in headers.get("openstack-api-version", "").split(","):
            words = part.split()
            if len(words) == 2 and words[0].lower() == self.service_type:
                found = words[1]
        if found is None and self.legacy_header:
            found = headers.get(self.legacy_header)
        return found.strip().lower() if found else None

    def echo(self, version: Version) -> dict[str, str]:
        """Headers of the answer."""
        text = show(version)
        headers = {"OpenStack-API-Version": f"{self.service_type} {text}", "Vary": "OpenStack-API-Version"}
        if self.legacy_header:
            name = "-".join(
                word.upper() if word == "api" else word.capitalize() for word in self.legacy_header.split("-")
            )
            name = name.replace("Openstack", "OpenStack")
            headers[name] = text
            headers["Vary"] = f"OpenStack-API-Version, {name}"
        return headers


def show(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
