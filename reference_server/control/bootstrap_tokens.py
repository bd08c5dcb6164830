"""Bootstrap tokens: issued once in plaintext, kept as a hash, redeemed once (contract_facts 3, 7.4, 10).

The plaintext is `psb_<env>_<project id>_<kind>_<token id><secret>`, the last three in base32, lower case:
the token's own id stands in its random part, so that it is found without trying every hash.
"""

import base64
import binascii
import re
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nacl import pwhash
from nacl.exceptions import InvalidkeyError
from sqlalchemy import Connection, Row, insert, select, update

from reference_server.control import audit, durations, projects
from reference_server.envelope import instant
from reference_server.errors import Refusal
from reference_server.ports import Change
from reference_server.store import tables

_TABLE = tables.bootstrap_tokens

KINDS = ("node", "bridge")

# contract_facts 7.4, BootstrapTokenIssueRequest.
_ENV_PREFIX = re.compile(r"[a-z]{1,32}", re.ASCII)
_TTL_SECONDS = range(300, 86_400 + 1)

# contract_facts 1.6, `token`.
_GRAMMAR = re.compile(
    r"psb_[a-z]+_(?P<project>[a-z2-7]+)_(?:node|bridge)_(?P<random>[a-z2-7]{20,})", re.ASCII
)
_UUID_TEXT = 26  # base32 characters of 16 bytes
_SECRET_BYTES = 20
_SECRET_TEXT = 32

# The secret part is 160 random bits, which no search finds; Argon2id is the published storage form and its
# cost protects guessable passwords, which these are not. So it runs at libsodium's minimum, some 20 µs.
_HASH_COST = (pwhash.argon2id.OPSLIMIT_MIN, pwhash.argon2id.MEMLIMIT_MIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A fresh token; `plaintext` exists nowhere else."""

    token_id: str
    plaintext: str
    issued_at: int
    expires_at: int

    def __repr__(self) -> str:
        return f"Issued(token_id={self.token_id!r})"  # CRED-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What a plaintext says of itself. `token_id`: None where it is well formed but none of ours."""

    project_id: str
    token_id: str | None


def issue(
    change: Change,
    *,
    project_id: str,
    kind: str,
    env_prefix: str,
    ttl_seconds: int,
    issued_by: str,
    subject: str,
) -> Issued:
    """Issue a token of a Project. Raises Refusal: invalid_bootstrap_token_request, project_not_found."""
    if kind not in KINDS or not _ENV_PREFIX.fullmatch(env_prefix) or ttl_seconds not in _TTL_SECONDS:
        raise Refusal("invalid_bootstrap_token_request")
    domain_id = projects.domain_of(change.connection, project_id)
    token_id = change.ids.uuid7()
    random = _base32(uuid.UUID(token_id).bytes) + _base32(secrets.token_bytes(_SECRET_BYTES))
    plaintext = f"psb_{env_prefix}_{_base32(uuid.UUID(project_id).bytes)}_{kind}_{random}"
    issued = Issued(
        token_id=token_id,
        plaintext=plaintext,
        issued_at=change.now,
        expires_at=change.now + ttl_seconds * durations.SECOND,
    )
    change.connection.execute(
        insert(_TABLE).values(
            id=token_id,
            project_id=project_id,
            kind=kind,
            env_prefix=env_prefix,
            token_hash=pwhash.argon2id.str(plaintext.encode(), *_HASH_COST),
            issued_by=issued_by,
            issued_at=issued.issued_at,
            expires_at=issued.expires_at,
        )
    )
    _audit(change, domain_id, "bootstrap_token.issue", token_id, subject)
    return issued


def revoke(change: Change, *, project_id: str, token_id: str, subject: str) -> None:
    """Revoke a token.

    Raises Refusal: project_not_found, bootstrap_token_not_found, bootstrap_token_settled.
    """
    domain_id = projects.domain_of(change.connection, project_id)
    token = read(change.connection, project_id, token_id)._mapping
    if token["consumed_at"] is not None or token["revoked_at"] is not None:
        raise Refusal("bootstrap_token_settled")
    change.connection.execute(update(_TABLE).where(_TABLE.c.id == token_id).values(revoked_at=change.now))
    _audit(change, domain_id, "bootstrap_token.revoke", token_id, subject)


def present(plaintext: str) -> Presented:
    """Read a plaintext without any look-up. Raises Refusal(`bootstrap_token_invalid`) (N-13)."""
    match = _GRAMMAR.fullmatch(plaintext)
    project = None if match is None else _uuid_of(match["project"])
    if match is None or project is None:
        raise Refusal("bootstrap_token_invalid")
    ours = len(match["random"]) == _UUID_TEXT + _SECRET_TEXT
    return Presented(project_id=project, token_id=_uuid_of(match["random"][:_UUID_TEXT]) if ours else None)


def redeemable(connection: Connection, presented: Presented, plaintext: str, now: int) -> str:
    """The kind of a token that may be used now.

    Raises Refusal: token_unknown, token_consumed, token_revoked, token_expired.
    """
    token = None if presented.token_id is None else _find(connection, presented.token_id)
    if token is None or not _matches(token._mapping["token_hash"], plaintext):
        raise Refusal("token_unknown")
    row = token._mapping
    if row["consumed_at"] is not None:
        raise Refusal("token_consumed")
    if row["revoked_at"] is not None:
        raise Refusal("token_revoked")
    if row["expires_at"] <= now:
        raise Refusal("token_expired")
    kind: str = row["kind"]
    return kind


def consume(change: Change, token_id: str) -> None:
    """Mark a token as used; the caller's transaction decides whether it stays so."""
    change.connection.execute(update(_TABLE).where(_TABLE.c.id == token_id).values(consumed_at=change.now))


def read(connection: Connection, project_id: str, token_id: str) -> Row[tuple[object, ...]]:
    """The row of a Project's token. Raises Refusal(`bootstrap_token_not_found`)."""
    row = _find(connection, token_id)
    if row is None or row._mapping["project_id"] != project_id:
        raise Refusal("bootstrap_token_not_found")
    return row


def after_id(
    connection: Connection, project_id: str, token_id: str | None, count: int
) -> Sequence[Row[tuple[object, ...]]]:
    """Up to `count` tokens of a Project in the order of their issue, after one."""
    statement = select(_TABLE).where(_TABLE.c.project_id == project_id).order_by(_TABLE.c.id).limit(count)
    if token_id is not None:
        statement = statement.where(_TABLE.c.id > token_id)
    return connection.execute(statement).all()


def render(row: Row[tuple[object, ...]]) -> Mapping[str, object]:
    """BootstrapTokenMetadata of a row."""
    token = row._mapping
    answer = {name: token[name] for name in ("id", "project_id", "kind", "env_prefix")}
    for name in ("issued_at", "expires_at", "consumed_at", "revoked_at"):
        if token[name] is not None:
            answer[name] = instant.render(token[name])
    return answer | {"issued_by_user_id": token["issued_by"]}


def _find(connection: Connection, token_id: str) -> Row[tuple[object, ...]] | None:
    return connection.execute(select(_TABLE).where(_TABLE.c.id == token_id)).one_or_none()


def _matches(token_hash: bytes, plaintext: str) -> bool:
    try:
        return pwhash.verify(token_hash, plaintext.encode())
    except InvalidkeyError:
        return False


def _base32(octets: bytes) -> str:
    return base64.b32encode(octets).decode().rstrip("=").lower()


def _uuid_of(segment: str) -> str | None:
    """The UUID that 26 characters of base32 spell; None for any other segment."""
    try:
        octets = base64.b32decode(segment.upper() + "=" * (-len(segment) % 8))
    except binascii.Error:
        return None
    return str(uuid.UUID(bytes=octets)) if len(octets) == 16 and _base32(octets) == segment else None  # noqa: PLR2004 - a UUID


def _audit(change: Change, domain_id: str, relation: str, token_id: str, subject: str) -> None:
    audit.append_entry(
        change,
        chain_id=domain_id,
        relation=relation,
        object_type="bootstrap_token",
        object_id=token_id,
        subject=subject,
    )
