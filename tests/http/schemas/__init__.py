"""Do answers have the form that Tempest, and so every interoperability test, asks for?"""

from __future__ import annotations

from tests.http.schemas.checker import VERSIONS, check_response, schema_of

__all__ = ["VERSIONS", "check_response", "schema_of"]
