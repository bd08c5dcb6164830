"""Settings: one frozen record; the same rows make its flags, environment names and TOML keys.

The first source that speaks wins: flag, environment (`BUSPROOF_` + upper-case name), TOML file, default.
A new setting is one line in `Settings`; nothing else has to know of it.
"""

import dataclasses
import difflib
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

T = TypeVar("T")

ENV_PREFIX = "BUSPROOF_"
# difflib ratio from which a BUSPROOF_ variable that is no setting is taken for a slip of the pen; others may
# belong to the suite (`env:NAME` in a target file) and are left alone.
_NEAR = 0.85
_MEBI = 1024 * 1024
_DAY = 86_400
MEMORY = ":memory:"
PORT_NAMES = (
    "EventStream",
    "NonceStore",
    "SignatureVerifier",
    "RelationChecker",
    "NodeRepo",
    "SnapshotProvider",
    "AuditSink",
)


# As TOML spells them, and as environments do.
_TRUTHS: Mapping[str, bool] = MappingProxyType({"true": True, "1": True, "false": False, "0": False})


class SettingsRefused(ValueError):
    """The configuration cannot be used; the text is one line, fit for standard error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is known of one setting besides its name and default."""

    kind: type  # str, int, float, bool, or tuple for a list of texts
    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    secret: bool = False  # no flag (the process list shows those), never printed


def _row(
    kind: type,
    default: T,
    explanation: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    pattern: str = "",
    secret: bool = False,
) -> T:
    row = Row(
        kind=kind,
        help=explanation,
        unit=unit,
        low=low,
        high=high,
        choices=choices,
        pattern=pattern,
        secret=secret,
    )
    made: T = field(default=default, metadata={"row": row}, repr=not secret)
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set, checked against its bounds."""

    host: str = _row(str, "127.0.0.1", "Address to listen on.")
    port: int = _row(int, 8080, "Port to listen on; 0 takes a free one.", low=0, high=65_535)
    data: str = _row(str, "busproof.db", "SQLite file of store and log; :memory: keeps nothing.")
    seed_file: str | None = _row(str, None, "TOML file of operators, Domains and Nodes to create.")
    credentials_file: str | None = _row(str, None, "Where the seed's credentials are written (mode 600).")
    ready_file: str | None = _row(str, None, "Written last, when the server answers: url, pid, version.")
    faults: str | None = _row(str, None, "Unix socket of the fault channel (mode 600); off unless given.")
    unwire: tuple[str, ...] = _row(
        tuple, (), "Leave a port unwired, so its surfaces answer 501. Repeatable.", choices=PORT_NAMES
    )
    master_key_file: str | None = _row(str, None, "File with the key that seals signing keys (KEY-4).")
    master_key: str | None = _row(str, None, "The same key itself, base64 of 32 bytes.", secret=True)
    log_format: str = _row(
        str, "auto", "auto: JSON unless on a terminal.", choices=("auto", "json", "console")
    )
    log_level: str = _row(
        str, "info", "Least severe line written.", choices=("debug", "info", "warning", "error")
    )
    grace_seconds: float = _row(
        float, 10.0, "Time to end streams and drain when told to stop (SSE-8).", unit="s", low=0.1, high=600
    )

    tls_certificate_file: str | None = _row(
        str, None, "Certificate in PEM, its chain behind it; connections are TLS then. Plain unless given."
    )
    tls_key_file: str | None = _row(str, None, "The private key of that certificate, PEM, not encrypted.")

    # ---- engines that replicas share, in place of `data`
    database_url: str | None = _row(
        str, None, "postgresql://user@host:port/database, or …/database?host=/socket/directory."
    )
    database_password: str | None = _row(str, None, "The database's password.", secret=True)
    nats_url: str | None = _row(str, None, "nats://host:port of a server with JetStream.")
    nats_token: str | None = _row(str, None, "The token that NATS asks for.", secret=True)
    nats_credentials_file: str | None = _row(str, None, "A NATS credentials file, in place of a token.")
    with_relay: bool = _row(bool, False, "Run a relay in this process, too; over a file there always is one.")
    replicas: int = _row(int, 1, "Server processes that share the engines (LOG-6).", low=1, high=1000)
    log_replicas: int = _row(int, 1, "Copies of the log in the NATS cluster (LOG-2).", low=1, high=5)
    duplicate_window_seconds: float = _row(
        float, 120.0, "How long the log itself knows a message again (LOG-2).", unit="s", low=1, high=_DAY
    )
    nonce_seconds: float = _row(
        float, 0.0, "How long nonces live; 0: as long as the log retains (LOG-5).", unit="s", low=0
    )

    # ---- doors (issue 3, "every door limited")
    max_connections: int = _row(int, 12_000, "Open connections; more are closed.", low=1, high=1_000_000)
    head_bytes: int = _row(
        int, 32 * 1024, "A request's line and headers.", unit="bytes", low=1024, high=_MEBI
    )
    head_seconds: float = _row(
        float, 10.0, "Time for the whole request head to arrive.", unit="s", low=0.1, high=300
    )
    body_bytes: int = _row(
        int, _MEBI, "Any request body; operations may allow less.", unit="bytes", low=1024, high=64 * _MEBI
    )
    body_seconds: float = _row(
        float, 30.0, "Time for the whole request body to arrive.", unit="s", low=0.1, high=600
    )
    idle_seconds: float = _row(
        float, 75.0, "A kept-alive connection between requests.", unit="s", low=0.1, high=3600
    )
    write_seconds: float = _row(
        float, 30.0, "Time for a peer to take an answer.", unit="s", low=0.1, high=600
    )

    # ---- streams
    streams_per_node: int = _row(
        int, 4, "Past it, on one replica, the oldest is ended (SSE-12).", low=4, high=1000
    )
    keep_alive_seconds: float = _row(
        float, 25.0, "Silence before a keep-alive comment (SSE-4).", unit="s", low=0.05, high=28
    )
    pending_bytes: int = _row(
        int,
        _MEBI,
        "Unsent bytes of one stream; past it it is cut (SSE-9).",
        unit="bytes",
        low=64 * 1024,
        high=256 * _MEBI,
    )
    dead_peer_seconds: float = _row(
        float, 60.0, "A peer that takes nothing for so long is cut.", unit="s", low=1, high=600
    )
    recheck_seconds: float = _row(
        float,
        2.0,
        "How often open streams are held against revocations (GATE-15).",
        unit="s",
        low=0.1,
        high=4,
    )

    # ---- relay and log
    relay_tick_seconds: float = _row(
        float, 1.0, "Backstop of the relay's wake-up (OUT-7).", unit="s", low=0.05, high=10
    )
    relay_batch: int = _row(int, 4000, "Publishes in one relay batch (OUT-4).", low=1, high=100_000)
    retention_seconds: float = _row(
        float, 7 * _DAY, "Age at which log entries are dropped; 0: never.", unit="s", low=0, high=3650 * _DAY
    )
    retention_bytes: int = _row(
        int, 1024 * _MEBI, "Size past which the oldest entries go; 0: no bound.", unit="bytes", low=0
    )
    tail_cache_bytes: int = _row(
        int, 16 * _MEBI, "Newest log entries kept in memory.", unit="bytes", low=_MEBI, high=4096 * _MEBI
    )
    sweep_seconds: float = _row(
        float, 30.0, "How often retention and expiries are swept.", unit="s", low=0.1, high=3600
    )

    # ---- control
    evaluate_seconds: float = _row(
        float, 5.0, "How often reachability is evaluated (PROD-2).", unit="s", low=0.1, high=3600
    )
    stale_limit_seconds: float = _row(
        float, 300.0, "Oldest cached fact served in an outage (PULL-5).", unit="s", low=0, high=3600
    )
    audit_queue: int = _row(
        int, 4096, "Admission decisions waiting to be written (GATE-14).", low=1, high=1_000_000
    )
    env_prefix: str = _row(str, "dev", "The <env> of credentials made here (CRED-1).", pattern="[a-z]+")

    @property
    def store(self) -> str:
        """Where the state is, for messages."""
        return self.data if self.database_url is None else "the database"


ROWS: Mapping[str, Row] = MappingProxyType({f.name: f.metadata["row"] for f in dataclasses.fields(Settings)})


def flag_name(name: str) -> str:
    """The command-line flag of a setting."""
    return "--" + name.replace("_", "-")


def environment_name(name: str) -> str:
    """The environment variable of a setting."""
    return ENV_PREFIX + name.upper()


def resolve(
    flags: Mapping[str, object], environment: Mapping[str, str], document: bytes | None = None, path: str = ""
) -> Settings:
    """Put the sources together, each value checked; flags that are None or empty were not given.

    `document` is the TOML file's content and `path` its name for messages. Raises SettingsRefused.
    """
    values = _from_toml(document, path) if document is not None else {}
    values |= _from_environment(environment)
    for name, given in flags.items():
        if given is not None and given != ():
            values[name] = checked(name, given, flag_name(name))
    return Settings(**values)  # type: ignore[arg-type]  # every value went through `checked`


def checked(name: str, given: object, where: str) -> object:
    """`given` as the type of the setting, within its bounds, or SettingsRefused naming `where`."""
    row = ROWS[name]
    value = _converted(row, given, where)
    if isinstance(value, int | float) and not isinstance(value, bool):
        _check_bounds(row, value, where)
    for choice in value if isinstance(value, tuple) else (value,):
        if row.choices and choice not in row.choices:
            raise SettingsRefused(
                f"{where}: must be one of {', '.join(row.choices)}{_like(choice, row.choices)}"
            )
    return value


def _converted(row: Row, given: object, where: str) -> object:
    if row.kind is bool:
        if isinstance(given, bool) or str(given).lower() in _TRUTHS:
            return given if isinstance(given, bool) else _TRUTHS[str(given).lower()]
        raise SettingsRefused(f"{where}: must be true or false")
    if row.kind is tuple:
        parts = given.split(",") if isinstance(given, str) else given
        if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
            raise SettingsRefused(f"{where}: must be a list of texts")
        return tuple(part.strip() for part in parts if part.strip())
    if row.kind is str:
        if not isinstance(given, str) or not given:
            raise SettingsRefused(f"{where}: must be a text that is not empty")
        if row.pattern and not re.fullmatch(row.pattern, given):
            raise SettingsRefused(f"{where}: must match {row.pattern}")
        return given
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise SettingsRefused(f"{where}: must be a number")
    try:
        return row.kind(given) if isinstance(given, str) or row.kind is float else _whole(given)
    except ValueError:
        wanted = "a whole number" if row.kind is int else "a number"
        raise SettingsRefused(f"{where}: must be {wanted}") from None


def _whole(given: float) -> int:
    if given != math.floor(given):
        raise ValueError
    return int(given)


def _check_bounds(row: Row, value: float, where: str) -> None:
    low, high = row.low, row.high
    if math.isnan(value) or (low is not None and value < low) or (high is not None and value > high):
        bounds = f"{low:g} to {high:g}" if high is not None else f"at least {low:g}"
        raise SettingsRefused(f"{where}: must be {bounds}{' ' + row.unit if row.unit else ''}")


def _from_toml(document: bytes, path: str) -> dict[str, object]:
    try:
        parsed = tomllib.loads(document.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as refused:
        raise SettingsRefused(f"{path}: {refused}") from None
    for key in parsed:
        if key not in ROWS:
            raise SettingsRefused(f"{path}: unknown key {key!r}{_like(key, ROWS)}")
    return {key: checked(key, value, f"{path}: {key}") for key, value in parsed.items()}


def _from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    names = {environment_name(name): name for name in ROWS}
    values: dict[str, object] = {}
    for variable, text in environment.items():
        if not variable.startswith(ENV_PREFIX):
            continue
        if variable in names:
            values[names[variable]] = checked(names[variable], text, variable)
        elif difflib.get_close_matches(variable, names, 1, _NEAR):
            raise SettingsRefused(f"unknown variable {variable}{_like(variable, names)}")
    return values


def _like(given: object, known: Mapping[str, object] | tuple[str, ...]) -> str:
    near = difflib.get_close_matches(str(given), list(known), 1, 0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""
