"""The page of GET /v1/docs: one HTML text that needs nothing from elsewhere, no script, no style sheet."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_METHODS = ("get", "put", "post", "patch", "delete")

_STYLE = """
body { font: 16px/1.5 sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
article { border-top: 1px solid; padding: .5rem 0; }
h3 { font: 600 1rem monospace; margin: .5rem 0; overflow-wrap: anywhere; }
.note { font-style: italic; }
code { font-size: .9em; }
""".strip()


def render(document: Mapping[str, Any]) -> bytes:
    """The page: every operation by tag, with its answers and their codes. The document is trusted input."""
    info = document["info"]
    title = escape(info["title"])
    sections = "".join(_section(document, tag["name"], tag["description"]) for tag in document["tags"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{title}, {escape(info['version'])}</h1>"
        f"<p>{escape(info['description'])}</p>"
        f'<p>The whole contract: <a href="openapi.json">openapi.json</a>.</p>{sections}</body></html>'
    ).encode()


def _section(document: Mapping[str, Any], tag: str, description: str) -> str:
    articles = "".join(
        _article(path, method, operation)
        for path, method, operation in _operations(document)
        if tag in operation["tags"]
    )
    return f"<section><h2>{escape(tag)}</h2><p>{escape(description)}</p>{articles}</section>"


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]


def _article(path: str, method: str, operation: Mapping[str, Any]) -> str:
    name = escape(operation["operationId"])
    text = f"{operation['summary']}. {operation.get('description', '')}"
    return (
        f'<article id="{name}"><h3>{method.upper()} {escape(path)}</h3>'
        f"<p><code>{name}</code> {escape(text)}{_notes(operation)}</p>"
        f"<p>{_answers(operation)}</p></article>"
    )


def _notes(operation: Mapping[str, Any]) -> str:
    notes = []
    if operation.get("x-busproof-extension"):
        notes.append("extension")
    if not operation["x-busproof-served"]:
        notes.append("not served yet")
    return f' <span class="note">({", ".join(notes)})</span>' if notes else ""


def _answers(operation: Mapping[str, Any]) -> str:
    codes = operation["x-busproof-codes"]
    return "; ".join(
        escape(f"{status} {', '.join(codes.get(status, ()))}".strip()) for status in operation["responses"]
    )
