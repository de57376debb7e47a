"""Every kind of error in every service's own words."""

from __future__ import annotations

from typing import Any

import pytest

from kilostack.core.world import RealWorld
from tests.http.cloud import Answer, Client
from tests.http.foundation import toy

_STATUS = {
    "bad": 400,
    "large": 413,
    "forbidden": 403,
    "missing": 404,
    "conflict": 409,
    "stale": 409,
    "media": 415,
    "precondition": 412,
    "unsupported": 501,
    "unavailable": 503,
    "gone": 410,
    "refused": 409,
}
_QUOTA = {"identity": 403, "compute": 403, "network": 409, "image": 413}
_NOVA_NAMES = {
    400: "badRequest",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    501: "notImplemented",
    503: "serviceUnavailable",
}


@pytest.fixture
def http(world: RealWorld) -> Client:
    return toy.client(world)


def _message(service: str, answer: Answer) -> str:
    """The message, once the body has the form of its service."""
    body: Any = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-openstack-request-id"].startswith("req-")
    if service == "compute":
        name = _NOVA_NAMES.get(answer.status, "computeFault")
        assert list(body) == [name] and set(body[name]) == {"code", "message"}
        assert body[name]["code"] == answer.status
        return str(body[name]["message"])
    if service == "network":
        assert set(body["NeutronError"]) == {"type", "message", "detail"}
        return str(body["NeutronError"]["message"])
    if service == "image":
        assert set(body) == {"message", "code", "title"}
        assert body["code"] == f"{answer.status} {body['title']}"
        return str(body["message"])
    assert set(body["error"]) == {"code", "title", "message"}
    assert body["error"]["code"] == answer.status
    return str(body["error"]["message"])


@pytest.mark.parametrize("service", toy.DIALECTS)
async def test_kinds(http: Client, service: str) -> None:
    for kind, status in (_STATUS | {"quota": _QUOTA[service]}).items():
        answer = await http.request("GET", f"/{service}/v9/fail/{kind}", token="member")
        assert (answer.status, _message(service, answer)) == (status, kind), kind
        assert answer.headers.get("retry-after") == ("7" if status == 503 else None)


@pytest.mark.parametrize("service", toy.DIALECTS)
async def test_a_bug_is_told_by_its_request_id_alone(
    http: Client, service: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await http.request("GET", f"/{service}/v9/fail/bug", token="member")
    request_id = answer.headers["x-openstack-request-id"]
    assert answer.status == 500
    assert _message(service, answer) == f"Unexpected error. The log has more under {request_id}."
    assert b"RuntimeError" not in answer.body
    (record,) = caplog.records
    assert record.__dict__["request_id"] == request_id
    assert record.exc_info is not None


@pytest.mark.parametrize("service", toy.DIALECTS)
@pytest.mark.parametrize("path", ["/things/1", "/nothing", "/things/1/late", ""])
@pytest.mark.parametrize("token", [None, "wrong", "member,member"])
async def test_no_token_is_answered_as_the_identity_middleware_does(
    http: Client, service: str, path: str, token: str | None
) -> None:
    answer = await http.request("GET", f"/{service}/v9{path}", token=token)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Keystone uri="http://cloud.test/identity"'
    assert set(answer.json()["error"]) == {"code", "title", "message"}


@pytest.mark.parametrize("service", toy.DIALECTS)
async def test_what_is_not_there(http: Client, service: str) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        answer = await http.request(method, f"/{service}/v9/nothing/here", token="member")
        assert answer.status == 404, method
        if method != "HEAD":
            assert _message(service, answer)
    answer = await http.request("PUT", f"/{service}/v9/things/1", token="member", json={})
    assert (answer.status, answer.headers["allow"]) == (405, "DELETE, GET")
    assert "PUT" in _message(service, answer)


async def test_a_path_of_no_service(http: Client) -> None:
    assert (await http.request("GET", "/nobody")).status == 401
    answer = await http.request("GET", "/nobody", token="member")
    assert (answer.status, answer.json()["error"]["code"]) == (404, 404)


@pytest.mark.parametrize("service", toy.DIALECTS)
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b'{"thing": {"name": "\xff"}}', "not valid JSON"),
        (b'{"thing": {"name": "\\ud800"}}', "not valid JSON"),
        (b'{"thing": {"name": "a"}} x', "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"thing":' * 20_000, "not valid JSON"),
        (b'{"thing": {"name": "a", "size": NaN}}', "not valid JSON"),
        (b"null", "request body"),
        (b"5", "request body"),
        (b"[]", "request body"),
        (b"{}", "thing"),
        (b'{"thing": null}', "thing"),
        (b'{"thing": {}}', "name"),
        (b'{"thing": {"name": 5}}', "name. Value: 5"),
        (b'{"thing": {"name": "toolong"}}', "'toolong'"),
        (b'{"thing": {"name": "a", "size": 1e400}}', ""),
        (b'{"thing": {"name": "a", "size": ' + b"9" * 10_000 + b"}}", "not valid JSON"),
        (b'{"thing": {"name": "a", "size": 0}}', "size"),
        (b'{"thing": {"name": "a", "other": 1}}', "other"),
        (b'{"thing": {"name": "a"}, "other": 1}', "other"),
    ],
)
async def test_wrong_bodies(http: Client, service: str, body: bytes, said: str) -> None:
    answer = await http.request("POST", f"/{service}/v9/things", token="member", body=body)
    assert answer.status == 400, answer
    assert said in _message(service, answer)
    assert len(answer.body) < 2000


@pytest.mark.parametrize("service", toy.DIALECTS)
async def test_bodies_that_are_too_large(http: Client, service: str) -> None:
    body = b'{"thing": {"name": "' + b"x" * (1 << 20) + b'"}}'
    for sent in (body, [body[:1000], body[1000:]]):
        answer = await http.request("POST", f"/{service}/v9/things", token="member", body=sent)
        assert (answer.status, "1048576" in _message(service, answer)) == (413, True)
    answer = await http.request(
        "POST", f"/{service}/v9/things", token="member", body=[b"{}"], headers={"Content-Length": "99999999999"}
    )
    assert answer.status == 413


async def test_actions(http: Client) -> None:
    path = "/compute/v9/things/1/action"
    for version, body, status, said in (
        ("2.1", {"stop": None}, 202, '"stop":null'),
        ("2.10", {"late": {}}, 202, '"late"'),
        ("2.9", {"late": {}}, 400, "no such action: late"),
        ("2.1", {"os-rescue": None}, 501, "os-rescue is not implemented"),
        ("2.1", {"nonsense": None}, 400, "no such action: nonsense"),
        ("2.1", {"checked": {"n": 5}}, 202, '"n":5'),
        ("2.1", {"checked": {"n": "x"}}, 400, "attribute n"),
        ("2.1", {}, 400, "exactly one key"),
        ("2.1", {"stop": None, "late": None}, 400, "exactly one key"),
        ("2.1", [], 400, "exactly one key"),
    ):
        answer = await http.request(
            "POST", path, token="member", json=body, headers={"OpenStack-API-Version": f"compute {version}"}
        )
        assert (body, answer.status, said in answer.body.decode()) == (body, status, True), answer
