"""The checker finds what Tempest would: each row of the table leads to a schema, and wrong answers fail."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.schemas import VERSIONS, check_response, schema_of
from tests.http.schemas.operations import COMPUTE

#: what came after 2.1, and when
_LATER = {
    "create_remote_console": (2, 8),
    "list_server_tags": (2, 26),
    "replace_server_tags": (2, 26),
    "delete_server_tags": (2, 26),
    "check_server_tag": (2, 26),
    "add_server_tag": (2, 26),
    "delete_server_tag": (2, 26),
    "update_service": (2, 53),
}


@pytest.mark.parametrize("operation", sorted(COMPUTE))
def test_every_operation_has_a_schema_from_its_first_version_on(operation: str) -> None:
    first = _LATER.get(operation, (2, 1))
    for version in VERSIONS:
        if version >= first:
            assert schema_of("compute", operation, version)["status_code"]
        else:
            with pytest.raises(KeyError):
                schema_of("compute", operation, version)


def test_nearest_at_or_below() -> None:
    from tempest.lib.api_schema.response.compute.v2_26 import servers as v26
    from tempest.lib.api_schema.response.compute.v2_96 import servers as v96

    assert schema_of("compute", "show_server", (2, 37)) is v26.get_server
    assert schema_of("compute", "show_server", (2, 96)) is v96.get_server


_KEYPAIR = {"public_key": "ssh-ed25519 AAAA", "user_id": "u", "name": "k", "fingerprint": "aa:bb"}


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"keypair": _KEYPAIR | {"extra": 1}}, "extra"),
        ({"keypair": {"name": "k"}}, "required"),
        ({"keypair": _KEYPAIR | {"name": 5}}, "keypair.name"),
        (None, "None"),
    ],
)
def test_wrong_bodies_fail_and_say_where(body: Any, complaint: str) -> None:
    check_response("compute", "create_keypair", (2, 1), {"keypair": _KEYPAIR}, status=200)
    with pytest.raises(AssertionError, match=complaint):
        check_response("compute", "create_keypair", (2, 1), body)


def test_wrong_status_and_unexpected_body_fail() -> None:
    check_response("compute", "delete_server", (2, 1), None, status=204)
    with pytest.raises(AssertionError, match="status 200"):
        check_response("compute", "delete_server", (2, 1), None, status=200)
    with pytest.raises(AssertionError, match="no body"):
        check_response("compute", "delete_server", (2, 1), {"server": {}})
