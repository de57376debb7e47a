"""Query strings that are held to a schema, as some of upstream's lists do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from kilostack.http.messages import Request, Response
from kilostack.http.schemas import Schema
from kilostack.identity.api.collections import CollectionApi
from kilostack.identity.app.resources import Resources

R = TypeVar("R", bound=msgspec.Struct)


def check_query(request: Request, schema: Schema) -> None:
    """Raise `BadRequest` for parameters that `schema` does not take; of a repeated one the first value counts."""
    schema.check({name: request.query.first(name) for name in request.query.names()})


class QueryCheckedApi(CollectionApi[R]):
    """A collection whose list takes no parameters but those of `query`."""

    def __init__(
        self,
        resources: Resources[R],
        schemas: tuple[Schema, Schema],
        render: Callable[[R, str], dict[str, Any]],
        query: Schema,
    ) -> None:
        super().__init__(resources, schemas, render)
        self._query = query

    async def _list(self, request: Request) -> Response:
        check_query(request, self._query)
        return await super()._list(request)
