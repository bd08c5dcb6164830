"""The OpenAPI document as the server carries it: its JSON, its digest, its schemas (issue 3, section 1)."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE_NAME = "bus.v1.yaml"

# Installed from a wheel the document lies inside the package; in a clone it lies beside it.
_PLACES = (
    Path(__file__).parent / "openapi" / FILE_NAME,
    Path(__file__).parents[1] / "openapi" / FILE_NAME,
)


class NoDocument(LookupError):
    """The OpenAPI document lies neither in the package nor beside it: the installation is damaged."""


class NoSchema(LookupError):
    """The OpenAPI document has no component schema of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The document, read once.

    `json` is what GET /v1/openapi.json answers with, `digest` the lower-case hex SHA-256 of those bytes: with
    the version it is the identity of a target (protocol.md 10a).
    """

    content: Mapping[str, Any]
    json: bytes
    digest: str

    def schema(self, name: str) -> Mapping[str, Any]:
        """A component schema as a JSON Schema (2020-12) of its own: every `$ref` in it leads inside it.

        Raises NoSchema.
        """
        schemas = self.content["components"]["schemas"]
        if name not in schemas:
            raise NoSchema(name)
        return {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}


@cache
def document() -> Document:
    """The document of this installation. Raises NoDocument."""
    return parse(_read())


def parse(text: bytes) -> Document:
    """A document from its YAML."""
    content = yaml.load(text, Loader=yaml.CSafeLoader)
    rendered = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Document(content=content, json=rendered, digest=hashlib.sha256(rendered).hexdigest())


def _read() -> bytes:
    for place in _PLACES:
        if place.is_file():
            return place.read_bytes()
    raise NoDocument(FILE_NAME)
