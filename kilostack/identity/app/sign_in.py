"""Logging in: from the `identity` part of a request to a proof of who it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kilostack.core.errors import BadRequest, Unauthenticated
from kilostack.identity.app.methods.port import Method
from kilostack.identity.app.proof import REJECTED, Proof, expecting
from kilostack.identity.app.receipts import Receipts


class SignIn:
    """Checks what is shown, by the methods that this cloud offers; `receipts` are for a part of what is needed."""

    def __init__(self, methods: Iterable[Method], receipts: Receipts) -> None:
        self._methods = {method.name: method for method in methods}
        self.receipts = receipts

    async def prove(self, identity: Mapping[str, Any], address: str, receipt: str | None = None) -> Proof:
        """Raises `Unauthenticated`; `Forbidden` (429) after too many failures; `BadRequest` when a part is missing.

        `receipt` is what a request before this one was given for showing a part of it.
        """
        names = identity.get("methods")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise expecting("methods", "identity")
        if not names:
            raise Unauthenticated(REJECTED)
        for name in names:
            if name not in identity:
                raise expecting(name, "identity")
        proof: Proof | None = None
        for name in dict.fromkeys(names):
            one = await self._prove(name, identity, address)
            if proof is not None and proof.user_id != one.user_id:
                raise Unauthenticated(REJECTED)
            proof = one if proof is None else _both(proof, one)
        assert proof is not None
        if receipt:
            proof = await self.receipts.joined(proof, receipt)
        # in our order, each once; those of the token that was shown may be none that anybody can log in by
        ordered = (*(name for name in self._methods if name in proof.methods), *proof.methods)
        return msgspec.structs.replace(proof, methods=tuple(dict.fromkeys(ordered)), offered=frozenset(self._methods))

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
