"""The OpenAPI document as a judge: may this be asked, may this be answered? The home of openapi-core.

Pure: it reads recorded exchanges, so what it says of a run can be said again from the run's transcripts.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from conformance.catalogue.load import contract
from conformance.check.model import CannotJudge
from conformance.check.reading import PROBLEM_TYPE
from conformance.probe.transcript import Ending, Exchange, Head, Transcript
from conformance.probe.vault import FILLER

# How a scenario labels the exchange in which it fetched the target's document.
DOCUMENT = "openapi"

STREAM_TYPE = "text/event-stream"

# The document that speaks of event payloads says under this key which schema each type has.
_ENVELOPE, _PAYLOADS = "SignedEnvelope", "x-busproof-payloads"

# Refusals of HTTP itself: a head, a target or a body that is too large or late. No operation lists them.
_OF_HTTP = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.REQUEST_URI_TOO_LONG,
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    }
)


class Kind(StrEnum):
    """What of an exchange is not as the document says."""

    STATUS = "status"
    TYPE = "content type"
    BODY = "body"
    HEADER = "header"
    REQUEST = "request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that the document does not allow."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The operation that a request meant: its id and its path template; no id for a method it has not."""

    id: str
    template: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    host_url: str
    path: str
    method: str
    parameters: Any
    content_type: str
    body: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Response:
    data: bytes
    status_code: int
    content_type: str
    headers: Any


class Document:
    """One OpenAPI document. `served` is False for ours, used where a target serves none."""

    def __init__(self, raw: Mapping[str, Any], *, served: bool) -> None:
        self.raw = raw
        self.served = served
        self._api = _openapi(raw)
        self._templates = tuple(sorted(_templates(raw), key=lambda each: each[0].count("{")))

    def asked(self, exchange: Exchange) -> Asked | None:
        """The operation of a request, None for a path that the document has not."""
        segments = urlsplit(exchange.target).path.split("/")
        fitting = [each for each in self._templates if _fits(each[0].split("/"), segments)]
        if not fitting:
            return None
        method = exchange.method.lower()
        for template, operations in fitting:
            if method in operations:
                return Asked(id=str(operations[method].get("operationId", template)), template=template)
        return Asked(id="", template=fitting[0][0])

    def operation(self, asked: Asked, method: str) -> Mapping[str, Any]:
        """The operation object."""
        found: Mapping[str, Any] = self.raw["paths"][asked.template][method.lower()]
        return found

    def request_faults(self, exchange: Exchange) -> tuple[Fault, ...]:
        """Why the document does not allow this request; empty also where it cannot be told."""
        if "%2f" in exchange.target.lower():
            return ()
        found = self._api.iter_request_errors(_request(exchange))
        return tuple(
            Fault(kind=Kind.REQUEST, text=text)
            for each in found
            if _LENIENT.isdisjoint(map(_name, _chain(each))) and (text := _text(each))
        )

    def answer_faults(self, exchange: Exchange) -> tuple[Fault, ...]:
        """Why the document does not allow this answer."""
        asked, head = self.asked(exchange), exchange.head
        if head is None or exchange.method == "HEAD":
            return ()
        if asked is None or not asked.id:
            wanted = HTTPStatus.NOT_FOUND if asked is None else HTTPStatus.METHOD_NOT_ALLOWED
            seen = head.status == wanted or head.status in _OF_HTTP or head.status == HTTPStatus.BAD_REQUEST
            what = "a path" if asked is None else "a method"
            return () if seen else (Fault(kind=Kind.STATUS, text=f"{head.status} to {what} it has not"),)
        documented = self.operation(asked, exchange.method).get("responses", {})
        if head.status in _OF_HTTP and str(head.status) not in documented:
            return ()
        return tuple(_told(self._api.iter_response_errors(_request(exchange), _response(exchange, head))))

    def payload_faults(self, kind: str, payload: Any) -> tuple[str, ...] | None:
        """Why a payload is not one of its event type; None where the document has no schema for the type."""
        schemas = self.raw.get("components", {}).get("schemas", {})
        name = schemas.get(_ENVELOPE, {}).get(_PAYLOADS, {}).get(kind)
        if name not in schemas:
            return None
        return tuple(_schema_errors(_validator(self, name).iter_errors(payload)))


def of(transcript: Transcript) -> Document:
    """The document that the target served in this scenario, or else ours. Raises CannotJudge."""
    exchange = transcript.exchange(DOCUMENT)
    if exchange is None or exchange.head is None:
        raise CannotJudge("the target's document was never asked for")
    return read(exchange.head.status, exchange.body)


@lru_cache(maxsize=8)
def read(status: int, body: bytes) -> Document:
    """A served document; ours where it is not there or is none."""
    if status == HTTPStatus.OK:
        try:
            raw = json.loads(body)
        except ValueError:
            raw = None
        if isinstance(raw, dict) and str(raw.get("openapi", "")).startswith("3.") and _paths(raw):
            return Document(raw, served=True)
    return Document(contract(), served=False)


def judged_here(exchange: Exchange) -> bool:
    """True for an exchange that the document can be held against: not a stream, not bytes by hand."""
    kinds = () if exchange.head is None else exchange.head.values("Content-Type")
    whole = exchange.ending is Ending.COMPLETE
    return whole and not exchange.request_raw and not any(each.startswith(STREAM_TYPE) for each in kinds)


def streams(operation: Mapping[str, Any]) -> bool:
    """True for an operation that answers with an event stream: it has checks of its own."""
    responses = operation.get("responses", {})
    return any(STREAM_TYPE in each.get("content", {}) for each in responses.values())


def _paths(raw: Mapping[str, Any]) -> bool:
    paths = raw.get("paths")
    return isinstance(paths, dict) and bool(paths) and all(isinstance(each, dict) for each in paths.values())


def _templates(raw: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path, item in raw["paths"].items():
        yield path, {name: each for name, each in item.items() if isinstance(each, dict)}


def _fits(template: list[str], segments: list[str]) -> bool:
    return len(template) == len(segments) and all(
        (bool(there) if each.startswith("{") else each == unquote(there))
        for each, there in zip(template, segments, strict=True)
    )


def _openapi(raw: Mapping[str, Any]) -> Any:
    from openapi_core import Config, OpenAPI  # noqa: PLC0415  # takes over a second: only who judges waits

    # What is not valid of the document itself shows when it is used; checking it whole takes seconds.
    return OpenAPI.from_dict(dict(raw), config=_config(Config))


def _config(kind: Any) -> Any:
    """openapi-core as it is needed here: problems are JSON, too."""
    unchecked: Any = None
    return kind(spec_validator_cls=unchecked, extra_media_type_deserializers={PROBLEM_TYPE: json.loads})


def _request(exchange: Exchange) -> _Request:
    from openapi_core.datatypes import RequestParameters  # noqa: PLC0415  # as above
    from werkzeug.datastructures import Headers, ImmutableMultiDict  # noqa: PLC0415  # as above

    parts = urlsplit(exchange.target)
    headers = [*exchange.request_headers, _CALLER]
    return _Request(
        host_url="http://target",
        path=unquote(parts.path, errors="replace"),
        method=exchange.method.lower(),
        parameters=RequestParameters(
            query=ImmutableMultiDict(parse_qsl(parts.query, keep_blank_values=True, errors="replace")),
            header=Headers(headers),
        ),
        content_type=_media_type(exchange.request_headers),
        body=exchange.request_body or None,
    )


def _response(exchange: Exchange, head: Head) -> _Response:
    from werkzeug.datastructures import Headers  # noqa: PLC0415  # as above

    return _Response(
        data=exchange.body,
        status_code=head.status,
        content_type=_media_type(head.headers),
        headers=Headers(list(head.headers)),
    )


def _media_type(headers: Iterable[tuple[str, str]]) -> str:
    return next((value.lower() for name, value in headers if name.lower() == "content-type"), "")


# Who may ask is the ladders' matter; without a caller openapi-core looks no further.
_CALLER = ("Authorization", "Bearer any")

_MEDIA = "MediaTypeNotFound"

# The contract says nothing of a body that is named wrongly: it is judged by its bytes. An empty value of a
# query is a text like any other, whatever openapi-core says.
_LENIENT = frozenset({_MEDIA, "EmptyQueryParameterValue"})

# What openapi-core calls each thing that is wrong with an answer.
_KINDS: Mapping[str, Kind] = {
    "ResponseNotFound": Kind.STATUS,
    _MEDIA: Kind.TYPE,
    "MissingRequiredHeader": Kind.HEADER,
    "InvalidHeader": Kind.HEADER,
}


def _told(errors: Iterable[Exception]) -> Iterator[Fault]:
    for each in errors:
        names = [_name(link) for link in _chain(each)]
        kind = next((_KINDS[name] for name in names if name in _KINDS), Kind.BODY)
        if text := _text(each):
            yield Fault(kind=kind, text=text)


def _text(error: Exception) -> str:
    """The error in words; empty if it is only about what was masked."""
    for link in _chain(error):
        listed = getattr(link, "schema_errors", None)
        if listed is not None:
            return "; ".join(_schema_errors(listed))
    try:
        return str(error) or type(error).__name__
    except UnicodeDecodeError:  # openapi-core wants to quote bytes that are no text
        return "the body is no UTF-8"


def _name(error: BaseException) -> str:
    return type(error).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _schema_errors(errors: Iterable[Any]) -> Iterator[str]:
    """A line for each error, but for values that the transcript holds masked."""
    masked = FILLER.decode()
    for each in errors:
        value = each.instance
        if not (isinstance(value, str) and value and not value.strip(masked)):
            where = "/".join(str(part) for part in each.absolute_path)
            yield f"{where or 'the whole'}: {each.message}"


@lru_cache(maxsize=64)
def _validator(document: Document, name: str) -> Any:
    from openapi_schema_validator import (  # noqa: PLC0415  # openapi-core's own part, as above
        OAS31Validator,
        oas31_format_checker,
    )

    schema = {"$ref": f"#/components/schemas/{name}", "components": document.raw["components"]}
    return OAS31Validator(schema, format_checker=oas31_format_checker)
