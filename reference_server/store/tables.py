"""The schema: every table of the store and of the embedded log, in one place.

Instants are integers, microseconds since 1970 in UTC. Ids are lower-case UUID texts, except in the
log, whose many small rows hold a Node as its 16 bytes. Payloads are bytes (ENV-5).
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

_Serial = BigInteger().with_variant(Integer, "sqlite")
_Instant = BigInteger


def _created() -> Column[int]:
    return Column("created_at", _Instant, nullable=False)


domains = Table(
    "domains",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("slug", Text, nullable=False, unique=True),
    Column("description", Text, nullable=False, server_default=""),
    Column("region", Text),
    Column("mesh_cidr", Text, nullable=False),
    Column("heartbeat_interval", BigInteger, nullable=False),  # these four: microseconds
    Column("stale_after", BigInteger, nullable=False),
    Column("unreachable_after", BigInteger, nullable=False),
    Column("endpoint_ttl", BigInteger, nullable=False),
    Column("next_rung", Integer, nullable=False, server_default="0"),  # signing-key rotations so far
    _created(),
    Column("updated_at", _Instant, nullable=False),
    Column(
        "version", BigInteger, nullable=False, server_default="0"
    ),  # commits, where processes share a store
)

projects = Table(
    "projects",
    metadata,
    Column("id", Text, primary_key=True),
    Column("domain_id", Text, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("slug", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("sub_range_cidr", Text),
    _created(),
    Column("updated_at", _Instant, nullable=False),
    UniqueConstraint("domain_id", "slug"),
)

resources = Table(
    "resources",
    metadata,
    Column("id", Text, primary_key=True),
    Column("project_id", Text, nullable=False, index=True),
    Column("domain_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("external_ref", Text),  # the handle that a registration names
    _created(),
    Column("updated_at", _Instant, nullable=False),
    UniqueConstraint("project_id", "external_ref"),
)

bootstrap_tokens = Table(
    "bootstrap_tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("project_id", Text, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("env_prefix", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),  # Argon2id
    Column("issued_by", Text, nullable=False),
    Column("issued_at", _Instant, nullable=False),
    Column("expires_at", _Instant, nullable=False),
    Column("consumed_at", _Instant),
    Column("revoked_at", _Instant),
)

register_nonces = Table(
    "register_nonces",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("nonce", Text, primary_key=True),
)

nodes = Table(
    "nodes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("domain_id", Text, nullable=False),
    Column("project_id", Text),
    Column("resource_id", Text, index=True),
    Column("name", Text),
    Column("kind", Text),
    Column("mesh_ip", Text, nullable=False),
    Column("registered_rung", Integer, nullable=False),  # the Domain's next_rung at registration (KEY-6)
    _created(),
    Column("deregistered_at", _Instant, index=True),
    Column("reachability", Text, nullable=False),
    Column("reachability_changed_at", _Instant, nullable=False),
    Column("last_heartbeat_at", _Instant),
    Column("binary_version", Text),
    Column("binary_checksum", Text),
    Column("nat_summary", LargeBinary),
    Column("reconcile", Boolean, nullable=False, server_default=text("false")),  # LOG-8
    Index("nodes_of_domain", "domain_id", "id"),
    Index(  # no two live Nodes of a Domain share an address, whatever the allocator thinks
        "nodes_mesh_ip",
        "domain_id",
        "mesh_ip",
        unique=True,
        sqlite_where=text("deregistered_at IS NULL"),
        postgresql_where=text("deregistered_at IS NULL"),
    ),
)

peers = Table(
    "peers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("node_id", Text, nullable=False, unique=True),
    Column("public_key", Text, nullable=False),
    Column("endpoint", Text),
    Column("nat_type", Text),
    Column("endpoint_reported_at", _Instant),
    Column("endpoint_accepted_at", _Instant),
    Column("endpoint_stale_after", _Instant, index=True),  # null: no endpoint, or its tombstone is out
)

node_secret_keys = Table(  # NSKs
    "node_secret_keys",
    metadata,
    Column("node_id", Text, primary_key=True),
    Column("keyed_hash", LargeBinary, nullable=False),  # CRED-2
    _created(),
    Column("revoked_at", _Instant),
)

peer_psks = Table(
    "peer_psks",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("node_id", Text, nullable=False, index=True),
    Column("wrap_key_version", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    _created(),
    Column("retired_at", _Instant),
)

peer_key_rotations = Table(
    "peer_key_rotations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("node_id", Text, nullable=False, index=True),
    Column("peer_id", Text, nullable=False),
    Column("requested_at", _Instant, nullable=False),
    Column("completed_at", _Instant),  # null: pending
    Column("new_public_key", Text),
    Column("kid", Text),
    Column("wrap_key_version", Integer),
)

state_entries = Table(
    "state_entries",
    metadata,
    Column("node_id", Text, primary_key=True),
    Column("bucket", Text, primary_key=True),  # metadata | data | reports
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("workload_tag", Text),
    Column("updated_at", _Instant, nullable=False),
)

label_definitions = Table(
    "label_definitions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("qualified_key", Text, nullable=False, unique=True),
    Column("scope", Text, nullable=False),
    Column("scope_id", Text),
    Column("document", LargeBinary, nullable=False),  # the LabelDefinition as answered, JSON
    _created(),
)

label_assignments = Table(
    "label_assignments",
    metadata,
    Column("object_kind", Text, primary_key=True),
    Column("object_id", Text, primary_key=True),
    Column("qualified_key", Text, primary_key=True),
    Column("definition_id", Text, nullable=False, index=True),
    Column("value", LargeBinary, nullable=False),  # JSON
    Column("assigned_by", Text, nullable=False),
    Column("assigned_at", _Instant, nullable=False),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("domain_id", Text, nullable=False, index=True),
    Column("rung", Integer, nullable=False),  # 0 for the first key of the Domain, then one more each rotation
    Column("public_key", LargeBinary, nullable=False),  # 32 raw bytes
    Column("sealed_seed", LargeBinary),  # null: destroyed (KEY-3)
    _created(),
    Column("retired_at", _Instant),  # null: the active one
    Column("transition_expires", _Instant),
    UniqueConstraint("domain_id", "rung"),
)

signing_key_rotations = Table(
    "signing_key_rotations",
    metadata,
    Column("domain_id", Text, primary_key=True),
    Column("rung", Integer, primary_key=True),  # of the key that it introduces
    Column("event_id", Text, nullable=False, unique=True),
    Column("outbox_id", BigInteger, nullable=False),
    Column("envelope", LargeBinary, nullable=False),  # wire form, kept for ever (KEY-6)
    _created(),
)

outbox_events = Table(
    "outbox_events",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("event_id", Text, nullable=False, unique=True),
    Column("domain_id", Text, nullable=False),
    Column("source", Text, nullable=False),  # outbox type, left column of wire_types
    Column("recipients", LargeBinary, nullable=False),  # 16 bytes a Node, those still owed (OUT-4)
    Column("payload", LargeBinary, nullable=False),  # compacted as ENV-5 asks
    Column("key_id", Text),  # OUT-11; null: waits for the first key
    Column("envelope", LargeBinary),  # wire form signed at append (SigningKeyRotated alone)
    Column("status", Text, nullable=False),  # pending | published | parked | settled | discarded
    Column("transaction_id", Text, nullable=False),
    _created(),
    Index(
        "outbox_pending",
        "id",
        sqlite_where=text("status = 'pending'"),
        postgresql_where=text("status = 'pending'"),
    ),
    Index("outbox_transaction", "transaction_id"),
    sqlite_autoincrement=True,
)

sse_relay_cursor = Table(
    "sse_relay_cursor",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("last_outbox_id", BigInteger, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("moved_at", _Instant, nullable=False),
)

sse_relay_skipped = Table(
    "sse_relay_skipped",
    metadata,
    Column("outbox_id", BigInteger, primary_key=True),
    Column("domain_id", Text, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False, server_default=""),
    Column("parked_at", _Instant, nullable=False),
)

log_bodies = Table(  # the embedded log: an envelope once, however many Nodes it goes to
    "log_bodies",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("event_id", Text, nullable=False, index=True),
    Column("event_type", Text, nullable=False),
    Column("domain_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("wire", LargeBinary, nullable=False),
    Column("appended_at", _Instant, nullable=False),
)

log_entries = Table(
    "log_entries",
    metadata,
    Column("sequence", _Serial, primary_key=True, autoincrement=True),
    Column("node", LargeBinary, nullable=False),  # 16 bytes
    Column("body_id", BigInteger, nullable=False),
    Index("log_entries_of_node", "node", "sequence"),
    sqlite_autoincrement=True,
)

audit_chain_heads = Table(
    "audit_chain_heads",
    metadata,
    Column("chain_id", Text, primary_key=True),  # a Domain's id, or "platform"
    Column("next_seq", BigInteger, nullable=False),
    Column("last_hash", LargeBinary, nullable=False),
)

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("chain_id", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("occurred_at", _Instant, nullable=False),
    Column("transaction_id", Text, nullable=False, index=True),
    Column("canonical", LargeBinary, nullable=False),  # RFC 8785, without the hashes (AUD-1)
    Column("prev_hash", LargeBinary, nullable=False),
    Column("entry_hash", LargeBinary, nullable=False),
)

server_facts = Table(  # small things that belong to the store: schema of the seal, store id
    "server_facts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
