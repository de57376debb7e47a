"""Documents that are made of route tables, and tables of what upstream offers."""

from __future__ import annotations

from typing import Any

import pytest

from kilostack.core.world import RealWorld
from kilostack.http.messages import Request, Response
from kilostack.http.microversions import Microversions
from kilostack.http.openapi import openapi
from kilostack.http.operations import documented, is_offered, key_of, parsed
from kilostack.http.routes import Api, Route
from kilostack.http.schemas import objects, wrapped
from tests.http.cloud import Client, client
from tests.http.foundation import toy

_OLD, _NEW = (wrapped("thing", objects({name: {"type": "string"}}, [name])) for name in ("name", "title"))
_TABLE = parsed(
    """
GET /things list_things,list_other_things
HEAD /things list_things
POST /things create_thing 202
GET /things/{thing_id} get_thing 200,300
PUT /things/{thing_id} -
DELETE /things/{thing_id} delete_thing
""",
    prefix="toy:",
)


async def _handle(request: Request) -> Response:
    return Response(200, {})


_ROUTES = (
    Route(method="GET", path="/things", handler=_handle, query=("name", "limit"), public=True),
    Route(method="POST", path="/things", handler=_handle, body=_OLD, until="2.5"),
    Route(method="POST", path="/things", handler=_handle, body=((("2.6"), _NEW),), since="2.6"),
    Route(method="GET", path="/things/{id}", handler=_handle),
    Route(method="DELETE", path="/things/{gone}", handler=_handle),
    Route(method="GET", path="/untold/{when:int}", handler=_handle),
)


@pytest.fixture
def http(world: RealWorld) -> Client:
    api = Api(
        name="toy",
        prefix="/toy/v9",
        dialect=toy.DIALECTS["compute"],
        microversions=Microversions("toy", (2, 1), (2, 9), ""),
        routes=documented(_ROUTES, _TABLE),
    )
    root = Api(name="toy", prefix="/toy", dialect=api.dialect, routes=[_ROUTES[0]])
    return client([api, root, openapi([root, api], "1.2")], world)


@pytest.fixture
async def document(http: Client) -> Any:
    answer = await http.request("GET", "/openapi/toy.json")
    assert answer.status == 200
    return answer.json()


async def test_documents_are_listed(http: Client) -> None:
    listed = (await http.request("GET", "/openapi")).json()["documents"]
    assert listed == {"toy": "http://cloud.test/openapi/toy.json"}


def test_every_path_is_told_once_in_words_of_upstream(document: Any) -> None:
    assert set(document["paths"]) == {
        "/toy/things",
        "/toy/v9/things",
        "/toy/v9/things/{thing_id}",
        "/toy/v9/untold/{when}",
    }
    one = document["paths"]["/toy/v9/things/{thing_id}"]
    assert set(one) == {"get", "delete"}
    assert [parameter["name"] for parameter in one["delete"]["parameters"]] == ["thing_id"]
    assert one["delete"]["x-policy-rules"] == ["toy:delete_thing"]
    assert one["get"]["summary"] == "Get thing"


def test_statuses_are_the_ends_that_are_told_and_the_usual_refusals(document: Any) -> None:
    def told(path: str, method: str) -> set[str]:
        return set(document["paths"][path][method]["responses"])

    refusals = {"400", "401", "403", "404", "503"}
    assert told("/toy/v9/things", "get") == {"200"} | refusals
    assert told("/toy/v9/things", "post") == {"202", "409", "413"} | refusals
    assert told("/toy/v9/things/{thing_id}", "get") == {"200", "300"} | refusals
    assert told("/toy/v9/things/{thing_id}", "delete") == {"204", "409", "413"} | refusals
    assert told("/toy/v9/untold/{when}", "get") == {"2XX"} | refusals


def test_windows_of_microversions_are_one_operation(document: Any) -> None:
    create = document["paths"]["/toy/v9/things"]["post"]
    assert create["requestBody"]["content"]["application/json"]["schema"] == _NEW.document
    assert create["x-microversions"] == [{"since": "", "until": "2.5"}, {"since": "2.6", "until": ""}]


def test_who_needs_a_token_and_what_may_be_asked(document: Any) -> None:
    listed = document["paths"]["/toy/v9/things"]["get"]
    assert listed["security"] == [] and document["paths"]["/toy/v9/things"]["post"]["security"]
    assert [parameter["name"] for parameter in listed["parameters"]] == ["name", "limit"]


def test_what_is_offered() -> None:
    offered = frozenset(map(key_of, _ROUTES))
    assert [key for key, operation in _TABLE.items() if not is_offered(operation, offered)] == [("PUT", "/things/{}")]


def test_an_operation_has_one_line() -> None:
    with pytest.raises(ValueError, match=r"two lines for GET /a/\{c\}"):
        parsed("GET /a/{b} -\nGET /a/{c} -", prefix="")
