"""Requests out of an OpenAPI document: the only file that knows schemathesis.

Everything here is synchronous and runs in a worker thread. Drafts are made ahead of time; where a request has
to be sent to know how to go on (shrinking, chains of operations) the caller hands in a function that does.
The same document, seed and answers give the same drafts.
"""

import itertools
import json
import random
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hypothesis
import requests
import schemathesis
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.internal.cache import LRUCache
from hypothesis.internal.conjecture import providers
from schemathesis.config import SanitizationConfig
from schemathesis.generation import GenerationMode
from schemathesis.generation.case import Case as GenericCase
from schemathesis.generation.hypothesis.examples import generate_one
from schemathesis.generation.stateful import run_state_machine_as_test
from schemathesis.transport.prepare import prepare_request

from conformance.probe.draft import Draft, Phase

# Hypothesis keeps state of its own (its pseudo-random numbers, rules of state machines): one user at a time.
_ENGINE = threading.Lock()

# Probes that only a server error is wrong for, or that no header of ours carries: not sent.
_LEFT_OUT = frozenset({"malformed_content_type", "unsupported_path_pattern"})
_UNEXPECTED = "unspecified_http_method"

# Of the methods that a path does not have these are tried; the others have meanings of their own in HTTP.
_METHODS_TRIED = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})

Case = GenericCase[Any]

_BASE = "http://target"

# As many as Hypothesis itself keeps.
_CONSTANTS = 1024
_MODES = {True: GenerationMode.POSITIVE, False: GenerationMode.NEGATIVE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """How many drafts of an operation, at most: of coverage, and of fuzzing with and without a defect."""

    coverage: int
    valid: int
    invalid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a chain needs to know of an answer to go on with it."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Send = Callable[[Draft], Answer | None]


class Generator:
    """Makes drafts for the operations of one document."""

    def __init__(self, document: Mapping[str, Any], *, seed: int) -> None:
        with _engine():
            self._schema = schemathesis.openapi.from_dict(dict(document))
        self._seed = seed

    def first(self, operation: str, method: str, template: str) -> Draft | None:
        """A draft without a defect, made in no time: it shows whether the operation is served at all."""
        with _engine():
            made = self._schema[template][method.upper()]
            case = next(self._covering(made, [GenerationMode.POSITIVE]), None)
            return None if case is None else _draft(case, operation, Phase.COVERAGE)

    def drafts(self, operation: str, method: str, template: str, amounts: Amounts) -> tuple[Draft, ...]:
        """The drafts of one operation: its examples, a sample of the coverage cases, random ones."""
        with _engine():
            made = self._schema[template][method.upper()]
            found = [_draft(case, operation, Phase.EXAMPLES) for case in _examples(made)]
            found += [
                _draft(case, operation, Phase.COVERAGE) for case in self._coverage(made, amounts.coverage)
            ]
            for valid, count in ((True, amounts.valid), (False, amounts.invalid)):
                cases = self._fuzzed(made, valid=valid, count=count)
                found += [_draft(case, operation, Phase.FUZZING) for case in cases]
            return _distinct(found)

    def shrink(self, like: Draft, wrong: Callable[[Draft], bool], *, tries: int) -> None:
        """Looks for a smaller draft that is still `wrong`; who asks keeps what was sent.

        At most `tries` drafts are asked about. What could not be found again is left as it was.
        """
        left = tries

        def still(case: Case) -> bool:
            nonlocal left
            draft = _draft(case, like.operation, Phase.SHRINKING)
            left -= 1
            return left >= 0 and draft is not None and wrong(draft)

        with _engine():
            made = self._schema[like.template][like.method]
            strategy = made.as_strategy(generation_mode=_MODES[like.valid])
            settings = hypothesis.settings(_SETTINGS, max_examples=tries, phases=_SHRINKING)
            try:
                chance = random.Random(self._seed)  # noqa: S311  # to be repeatable
                hypothesis.find(strategy, still, settings=settings, random=chance)
            except (
                hypothesis.errors.NoSuchExample,
                hypothesis.errors.Unsatisfiable,
                hypothesis.errors.Flaky,
            ):
                return

    def chains(self, send: Send, operations: Collection[str], *, chains: int, steps: int) -> None:
        """Sends chains of these operations, each step fed by the answers of those before it."""
        left = itertools.repeat(None, chains * steps)

        def bounded(draft: Draft) -> Answer | None:
            return send(draft) if next(left, left) is None else None

        with _engine():
            schema = self._schema.include(operation_id=sorted(operations))
            schema.apply_stateful_inference(None)
            machine = hypothesis.seed(self._seed)(_machine(schema.as_state_machine(), bounded))
            settings = hypothesis.settings(
                _SETTINGS, max_examples=chains, stateful_step_count=steps, phases=(hypothesis.Phase.generate,)
            )
            run_state_machine_as_test(machine, settings=settings)

    def _coverage(self, made: Any, count: int) -> list[Case]:
        return _spread(list(self._covering(made, list(_MODES.values()))), count)

    def _covering(self, made: Any, modes: list[GenerationMode]) -> Iterator[Case]:
        config = self._schema.config.generation_for(operation=made)
        cases = self._schema.iter_coverage_cases(made, generation_modes=modes, generation_config=config)
        return (case for case in cases if _wanted(case))

    def _fuzzed(self, made: Any, *, valid: bool, count: int) -> list[Case]:
        if not count:
            return []
        found: list[Case] = []

        @hypothesis.seed(self._seed)
        @hypothesis.settings(_SETTINGS, max_examples=count, phases=(hypothesis.Phase.generate,))
        @hypothesis.given(made.as_strategy(generation_mode=_MODES[valid]))
        def take(case: Case) -> None:
            found.append(case)

        try:
            take()
        except (hypothesis.errors.Unsatisfiable, schemathesis.errors.SerializationError):
            return found  # an operation without parameters has nothing that could be wrong
        return found


_SETTINGS = hypothesis.settings(
    database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck), print_blob=False
)
_SHRINKING = (hypothesis.Phase.generate, hypothesis.Phase.shrink)


@contextmanager
def _engine() -> Iterator[None]:
    with _ENGINE, _without_local_constants():
        _quieten()
        yield


@contextmanager
def _without_local_constants() -> Iterator[None]:
    """Hypothesis draws constants out of the modules that are loaded; a seed would mean something else in each
    process. It has no setting for that."""
    hidden: Any = providers
    kept = hidden._get_local_constants, hidden.CONSTANTS_CACHE
    hidden._get_local_constants, hidden.CONSTANTS_CACHE = hidden.Constants, LRUCache(_CONSTANTS)
    try:
        yield
    finally:
        hidden._get_local_constants, hidden.CONSTANTS_CACHE = kept


@cache
def _quieten() -> None:
    """Keeps Hypothesis from writing into the directory that it is called in."""
    set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "busproof-hypothesis")


def _examples(made: Any) -> list[Case]:
    return [generate_one(each) for each in made.get_strategies_from_examples()]


def _scenario(case: Case) -> str:
    return str(getattr(case.meta.phase.data, "scenario", "")) if case.meta else ""


def _wanted(case: Case) -> bool:
    scenario = _scenario(case)
    return scenario not in _LEFT_OUT and (scenario != _UNEXPECTED or case.method in _METHODS_TRIED)


def _spread(cases: Sequence[Case], count: int) -> list[Case]:
    """At most `count` of them: the first of each kind, then the others, in the order that they came."""
    seen: set[tuple[str, str]] = set()
    first: list[Case] = []
    others: list[Case] = []
    for case in cases:
        data = case.meta.phase.data if case.meta else None
        kind = (_scenario(case), str(getattr(data, "parameter_location", "")))
        (others if kind in seen else first).append(case)
        seen.add(kind)
    return [*first, *others][:count]


def _distinct(drafts: Iterable[Draft | None]) -> tuple[Draft, ...]:
    """The drafts without those that would send the same again."""
    kept: dict[tuple[str, str, str, bytes], Draft] = {}
    for draft in drafts:
        if draft is not None:
            kept.setdefault((draft.method, draft.target, draft.content_type, draft.body), draft)
    return tuple(kept.values())


@schemathesis.serializer("application/x-ndjson")
def _lines(context: object, value: Any) -> Any:
    """A body of one JSON value a line."""
    if isinstance(value, bytes | str):
        return {"data": value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value}
    rows = value if isinstance(value, list) else [value]
    return {"data": b"".join(json.dumps(each).encode() + b"\n" for each in rows)}


def _draft(case: Case, operation: str, phase: Phase) -> Draft | None:
    """The case as bytes; None if it cannot be put in any."""
    try:
        prepared = prepare_request(case, {}, config=SanitizationConfig(enabled=False))
    except (ValueError, requests.RequestException, schemathesis.errors.SerializationError):
        return None
    body: Any = prepared.body or b""
    parts = urlsplit(prepared.url or "")
    data = case.meta.phase.data if case.meta else None
    return Draft(
        operation="" if _scenario(case) == _UNEXPECTED else operation,
        template=case.path,
        phase=phase,
        valid=case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE,
        what=str(getattr(data, "description", None) or ""),
        method=case.method,
        target=parts.path + (f"?{parts.query}" if parts.query else ""),
        content_type=str(prepared.headers.get("Content-Type", "")),
        body=body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body),
    )


def _machine(base: Any, send: Send) -> Any:
    """The state machine with our own sending; answers are judged elsewhere."""

    class Chained(base):  # type: ignore[misc]  # made by schemathesis at run time
        def call(self, case: Case, **kwargs: Any) -> Any:
            draft = _draft(case, str(case.operation.definition.raw.get("operationId", "")), Phase.STATEFUL)
            answer = None if draft is None else send(draft)
            return _response(case, answer)

        def validate_response(self, response: Any, case: Case, *args: Any, **kwargs: Any) -> None:
            return None

    return Chained


def _response(case: Case, answer: Answer | None) -> Any:
    """What schemathesis reads; a step that was not sent counts as one that found nothing."""
    told = answer or Answer(status=404, headers={}, body=b"")
    return schemathesis.Response(
        status_code=told.status,
        headers={name.lower(): [value] for name, value in told.headers.items()},
        content=told.body,
        request=requests.Request(method=case.method, url=_BASE).prepare(),
        elapsed=0.0,
        verify=False,
    )
