"""Logging in: from the `identity` part of a request to a proof of who it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kilostack.core.errors import BadRequest, Unauthenticated
from kilostack.identity.app.methods.port import Method
from kilostack.identity.app.proof import REJECTED, Proof, expecting


class SignIn:
    """Checks what is shown, by the methods that this cloud offers."""

    def __init__(self, methods: Iterable[Method]) -> None:
        self._methods = {method.name: method for method in methods}

    async def prove(self, identity: Mapping[str, Any], address: str) -> Proof:
        """Raises `Unauthenticated`; `Forbidden` (429) after too many failures; `BadRequest` when a part is missing."""
        names = identity.get("methods")
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise expecting("methods", "identity")
        proof: Proof | None = None
        for name in dict.fromkeys(names):
            one = await self._prove(name, identity, address)
            if proof is not None and proof.user_id != one.user_id:
                raise Unauthenticated(REJECTED)
            proof = one if proof is None else _both(proof, one)
        assert proof is not None
        # in our order, each once
        return msgspec.structs.replace(proof, methods=tuple(name for name in self._methods if name in proof.methods))

    async def _prove(self, name: str, identity: Mapping[str, Any], address: str) -> Proof:
        if (method := self._methods.get(name)) is None:
            raise Unauthenticated("Attempted to authenticate with an unsupported method.")
        if identity.get(name) is None:
            raise expecting(name, "identity")
        try:
            part = msgspec.convert(identity[name], method.part)
        except msgspec.ValidationError as error:
            text = str(error).replace("`$", f"`$.auth.identity.{name}")
            raise BadRequest(f"Invalid input for the request body: {text}", field=name) from None
        return await method.prove(part, address)


def _both(first: Proof, second: Proof) -> Proof:
    """Two methods that show the same user."""
    kept = {
        name: getattr(first, name) or getattr(second, name) for name in Proof.__struct_fields__ if name != "methods"
    }
    return Proof(methods=(*first.methods, *second.methods), **kept)
