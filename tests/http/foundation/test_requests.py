"""What surrounds a request: versions, ids, links behind proxies, methods, slashes, odd bytes everywhere."""

from __future__ import annotations

import re

import pytest

from kilostack.core.world import RealWorld
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Api, Route
from tests.http.cloud import Client, client
from tests.http.foundation import toy

_ID = re.compile(r"req-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.fixture
def http(world: RealWorld) -> Client:
    return toy.client(world)


@pytest.mark.parametrize(
    ("headers", "version"),
    [
        ({}, "2.1"),
        ({"OpenStack-API-Version": "compute 2.5"}, "2.5"),
        ({"OpenStack-API-Version": "Compute 2.5"}, "2.5"),
        ({"openstack-api-version": "  compute   2.5  "}, "2.5"),
        ({"OpenStack-API-Version": "volume 3.1, compute 2.6"}, "2.6"),
        ({"OpenStack-API-Version": "volume 3.1"}, "2.1"),
        ({"OpenStack-API-Version": "compute latest"}, "2.96"),
        ({"OpenStack-API-Version": "compute Latest"}, "2.96"),
        ({"OpenStack-API-Version": ""}, "2.1"),
        ({"X-OpenStack-Nova-API-Version": "2.7"}, "2.7"),
        ({"X-OpenStack-Nova-API-Version": "latest"}, "2.96"),
        ({"X-OpenStack-Nova-API-Version": "2.7", "OpenStack-API-Version": "compute 2.8"}, "2.8"),
    ],
)
async def test_microversions(http: Client, headers: dict[str, str], version: str) -> None:
    answer = await http.request("GET", "/compute/v9/things/1", token="member", headers=headers)
    assert (answer.status, ".".join(map(str, answer.json()["version"]))) == (200, version)
    assert answer.headers["openstack-api-version"] == f"compute {version}"
    assert answer.headers["x-openstack-nova-api-version"] == version
    assert answer.headers["vary"] == "OpenStack-API-Version, X-OpenStack-Nova-API-Version"


@pytest.mark.parametrize("version", ["2.97", "2.0", "3.1", "1.1", "2.999999999999999999999"])
async def test_versions_that_are_not_offered(http: Client, version: str) -> None:
    answer = await http.request(
        "GET", "/compute/v9/things/1", token="member", headers={"OpenStack-API-Version": f"compute {version}"}
    )
    body = answer.json()
    assert answer.status == 406
    assert body["computeFault"]["code"] == 406
    assert (body["errors"][0]["min_version"], body["errors"][0]["max_version"]) == ("2.1", "2.96")
    assert answer.headers["openstack-api-version"] == "compute 2.96"


@pytest.mark.parametrize("version", ["2", "2.", ".1", "2.01", "a.b", "2.1.1", "-2.1", "\u0662.\u0661", "2.1\0"])
async def test_versions_that_make_no_sense(http: Client, version: str) -> None:
    headers = {"X-OpenStack-Nova-API-Version": version.encode().decode("latin-1")}
    answer = await http.request("GET", "/compute/v9/things/1", token="member", headers=headers)
    assert (answer.status, list(answer.json())) == (400, ["badRequest"])


async def test_a_route_has_a_window(http: Client) -> None:
    for version, status in (("2.9", 404), ("2.10", 200), ("2.20", 200), ("2.21", 404)):
        headers = {"OpenStack-API-Version": f"compute {version}"}
        answer = await http.request("GET", "/compute/v9/things/1/late", token="member", headers=headers)
        assert answer.status == status, version


async def test_request_ids(http: Client) -> None:
    mine = "req-12345678-1234-4123-8123-123456789abc"
    for sent, taken in ((mine, mine), ("req-1", None), (mine + "x", None), (mine.upper(), None), ("\xff" * 99, None)):
        answer = await http.request(
            "GET", "/compute/v9/things/1", token="member", headers={"X-OpenStack-Request-Id": sent}
        )
        own, inbound = answer.json()["ids"]
        assert _ID.fullmatch(own) and inbound == taken
        assert answer.headers["x-openstack-request-id"] == answer.headers["x-compute-request-id"] == own


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({}, "http://cloud.test"),
        ({"Host": "cloud.example:8443"}, "http://cloud.example:8443"),
        ({"X-Forwarded-Proto": "https"}, "https://cloud.test"),
        ({"X-Forwarded-Proto": "https, http", "X-Forwarded-Host": "a.example, b.example"}, "https://a.example"),
        ({"X-Forwarded-Prefix": "/stack/"}, "http://cloud.test/stack"),
        ({"X-Forwarded-Host": "", "X-Forwarded-Proto": " "}, "http://cloud.test"),
        ({"Forwarded": 'for=192.0.2.1;Proto=https;host="a.example:8443", proto=http'}, "https://a.example:8443"),
        ({"Forwarded": "proto=https;host=b.example", "X-Forwarded-Host": "a.example"}, "https://a.example"),
        ({"Forwarded": ";;=,=="}, "http://cloud.test"),
    ],
)
async def test_links_are_what_the_client_can_follow(http: Client, headers: dict[str, str], base: str) -> None:
    answer = await http.request("GET", "/compute/v9/things/1", token="member", headers=headers)
    assert answer.json()["self"] == f"{base}/compute/v9/things/1?a=b+c"
    made = await http.request(
        "POST", "/compute/v9/things", token="member", json={"thing": {"name": "a"}}, headers=headers
    )
    assert made.headers["location"] == f"{base}/compute/v9/things/1"


async def test_head_is_get_without_its_body(http: Client) -> None:
    got = await http.request("GET", "/network/v9/things/1", token="member")
    head = await http.request("HEAD", "/network/v9/things/1", token="member")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert abs(int(head.headers["content-length"]) - len(got.body)) <= 2, "the request id is part of the body"
    assert (await http.request("HEAD", "/network/v9/fail/missing", token="member")).status == 404
    assert (await http.request("HEAD", "/network/v9/things", token="member")).status == 405
    stream = await http.request("HEAD", "/network/v9/stream", token="member")
    assert (stream.status, stream.body) == (200, b"")


async def test_answers_without_a_body_have_none(http: Client) -> None:
    answer = await http.request("DELETE", "/compute/v9/things/1", token="member")
    assert (answer.status, answer.body) == (204, b"")
    assert "content-type" not in answer.headers


async def test_a_stream_comes_in_pieces(http: Client) -> None:
    answer = await http.request("GET", "/image/v9/stream", token="member")
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"onetwo", "text/plain")


async def test_public_routes_need_no_token(http: Client) -> None:
    assert (await http.request("GET", "/image/v9/public")).status == 204
    assert (await http.request("GET", "/image/v9/public", token="wrong")).status == 204


@pytest.mark.parametrize("path", ["/compute/v9/things/1/", "/compute/v9/things/1"])
async def test_a_trailing_slash_changes_nothing(http: Client, path: str) -> None:
    assert (await http.request("GET", path, token="member")).json()["id"] == "1"


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("%20", " "),
        ("%F0%9F%98%80", "\U0001f600"),
        ("%FF", "\ufffd"),
        ("%ED%A0%80", "\ufffd\ufffd\ufffd"),
        ("%00", "\0"),
        ("%0D%0A", "\r\n"),
        ("%3Fa%23b", "?a#b"),
        ("%25", "%"),
        ("%", "%"),
        ("%zz", "%zz"),
        ("a+b", "a+b"),
        (";x=y", ";x=y"),
        ("x" * 5000, "x" * 5000),
        ("'\"<>", "'\"<>"),
    ],
)
async def test_odd_path_segments(http: Client, sent: str, seen: str) -> None:
    for service in toy.DIALECTS:
        answer = await http.request("GET", f"/{service}/v9/things/{sent}", token="member")
        assert (answer.status, answer.json()["id"]) == (200, seen)
        assert (await http.request("GET", f"/{service}/v9/{sent}", token="member")).status == 404
        assert (await http.request("GET", f"/{sent}", token="member")).status == 404


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("a=1&a=2&b", [["a", "1"], ["a", "2"], ["b", ""]]),
        ("a=%FF", [["a", "\ufffd"]]),
        ("a=%00", [["a", "\0"]]),
        ("a=b+c%2Bd", [["a", "b c+d"]]),
        ("&&=&=x", [["", ""], ["", "x"]]),
        ("%", [["%", ""]]),
        ("a=" + "x" * 50_000, [["a", "x" * 50_000]]),
        ("a;b=c", [["a;b", "c"]]),
    ],
)
async def test_odd_queries(http: Client, sent: str, seen: list[list[str]]) -> None:
    answer = await http.request("GET", f"/compute/v9/things/1?{sent}", token="member")
    assert (answer.status, answer.json()["query"]) == (200, seen)


async def test_very_many_parameters(http: Client) -> None:
    answer = await http.request("GET", "/compute/v9/things/1?" + "&".join(["a=1"] * 5000), token="member")
    assert answer.status in (200, 400)


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "BREW", "get", "CONNECT"])
async def test_other_methods_are_no_bug(http: Client, method: str) -> None:
    for path in ("/compute/v9/things/1", "/compute/v9/nothing", "/nobody"):
        assert (await http.request(method, path, token="member")).status < 500


async def test_each_answer_is_observed(world: RealWorld) -> None:
    watcher = toy.Watcher()
    http = toy.client(world, watcher)
    for path, token in (("/things/1", "member"), ("/things/1", None), ("/fail/bug", "member"), ("/x", "member")):
        await http.request("GET", f"/compute/v9{path}", token=token)
    assert [status for _, _, status in watcher.seen] == [200, 401, 500, 404]
    assert {service for service, _, _ in watcher.seen} == {"compute"}


async def test_routes_that_begin_alike_may_name_their_fields_differently(world: RealWorld) -> None:
    async def show(request: Request) -> Response:
        return Response(200, request.params)

    paths = ("/things/{id}", "/things/{thing_id}/parts/{part}", "/things/{other}/parts/{part_id}/all")
    routes = [Route(method="GET", path=path, handler=show) for path in paths]
    routes.append(Route(method="DELETE", path="/things/{gone}", handler=show))
    made = client([Api(name="alike", prefix="/alike", dialect=toy.DIALECTS["compute"], routes=routes)], world)

    async def params(method: str, path: str) -> object:
        return (await made.request(method, f"/alike/things/{path}", token="member")).json()

    assert await params("GET", "1") == {"id": "1"}
    assert await params("DELETE", "1") == {"gone": "1"}
    assert await params("GET", "1/parts/2") == {"thing_id": "1", "part": "2"}
    assert await params("GET", "1/parts/2/all") == {"other": "1", "part_id": "2"}
