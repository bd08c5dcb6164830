"""The one table of operations: every published one and ours, served or answered 501 (issue 3, section 1).

`openapi/bus.v1.yaml` describes the same operations; a test holds the two together. A published path is never
404: what is not served yet, or whose ports are unwired, answers 501 with its code (GATE-1, GATE-2, ERR-6).
"""

import re
from dataclasses import dataclass
from itertools import chain

KIB = 1024

# What a request may carry where the operation reads no body: enough for a stray `{}`, nothing to hold on to.
NO_BODY = 4 * KIB
# contract_facts 1.7: endpoint and keys/rotate; domains and projects; capabilities and integrity.
SMALL_BODY = 4 * KIB
TENANCY_BODY = 8 * KIB
MANIFEST_BODY = 32 * KIB
# Unstated by the contract; ours. Large enough for every field at its published limit, escaped.
PLAIN_BODY = 64 * KIB
REGISTER_BODY = 128 * KIB
POLICY_BODY = 512 * KIB
INGEST_BODY = 1024 * KIB
# OUT-6: all entries of one Node together stay below this.
STATE_ENTRY_BODY = 256 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of the contract.

    `served_by` is `surface.method`, None where a later issue serves it. `unwired` is the code of its 501.
    `needs` names the ports (ports.py) without which it answers that 501. `body_limit` is in bytes; a larger
    body is refused with `too_large` before it is parsed, one that is no JSON document with `body_code`.
    `extension` marks operations that are not published.
    """

    id: str
    method: str
    path: str
    served_by: str | None
    unwired: str
    body_limit: int
    too_large: str
    body_code: str
    needs: tuple[str, ...]
    extension: bool


@dataclass(frozen=True, slots=True)
class _Body:
    limit: int
    too_large: str = "request_body_too_large"
    code: str = "invalid_body"


_Row = tuple[str, str, str, _Body]

_NONE = _Body(NO_BODY)
_PLAIN = _Body(PLAIN_BODY)
_TENANCY = _Body(TENANCY_BODY)
_POLICY = _Body(POLICY_BODY)
_INGEST = _Body(INGEST_BODY, "ingest_body_too_large", "ingest_batch_malformed")
_HEARTBEAT = _Body(PLAIN_BODY, code="malformed_heartbeat_request")
_ENDPOINT = _Body(SMALL_BODY, "endpoint_body_too_large", "malformed_endpoint_request")
_KEYS_ROTATE = _Body(SMALL_BODY, "keys_rotate_body_too_large", "malformed_keys_rotate_request")
_REPORT = _Body(PLAIN_BODY, "payload_too_large", "invalid_report")
_STATE_ENTRY = _Body(STATE_ENTRY_BODY, "payload_too_large", "invalid_state_entry")
_CAPABILITIES = _Body(MANIFEST_BODY, "capabilities_body_too_large", "malformed_capabilities_request")
_INTEGRITY = _Body(
    MANIFEST_BODY, "integrity_violations_body_too_large", "malformed_integrity_violations_request"
)

_EVENT_PORTS = ("EventStream", "NonceStore", "SignatureVerifier", "RelationChecker", "NodeRepo")  # GATE-1
_STATE_PORTS = ("SnapshotProvider", "RelationChecker", "NodeRepo")  # GATE-2
_NODE_READ_PORTS = ("Store", "RelationChecker", "NodeRepo")
_NODE_WRITE_PORTS = ("CredentialResolver", "NodeRepo", "Store")
_OPERATOR_PORTS = ("RelationChecker", "Store")

_BUS_501 = "signed_event_bus_not_provisioned"

_NODE = "/v1/nodes/{id}"
_TOKENS = "/v1/projects/{project_id}/bootstrap-tokens"
_RESOURCES = "/v1/projects/{project_id}/resources"
_LABELS = "/v1/objects/{kind}/{id}/labels"
_ENTRY = f"{_NODE}/state/{{bucket}}/{{key}}"
_SIGNING_KEYS = "/v1/domains/{id}/signing-keys"
_POLICIES = "/v1/projects/{project_id}/policies"
_POLICY_PATH = f"{_POLICIES}/{{policy_id}}"
_BRIDGE = "/v1/projects/{project_id}/resources/{resource_id}/bridge"
_AUDIT = "/v1/domains/{domain_id}/audit"
_EXECUTIONS = "/v1/projects/{project_id}/executions"
_SESSIONS = "/v1/projects/{project_id}/sessions"


def _method_name(operation_id: str) -> str:
    """`GetOpenAPI` becomes `get_open_api`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation_id).lower()


def _served(
    surface: str, unwired: str, needs: tuple[str, ...], *rows: _Row, extension: bool = False
) -> tuple[Operation, ...]:
    return tuple(
        _operation(row, f"{surface}.{_method_name(row[0])}", unwired, needs, extension) for row in rows
    )


def _later(unwired: str, *rows: _Row) -> tuple[Operation, ...]:
    return tuple(_operation(row, None, unwired, (), False) for row in rows)


def _operation(
    row: _Row, served_by: str | None, unwired: str, needs: tuple[str, ...], extension: bool
) -> Operation:
    name, method, path, body = row
    return Operation(
        id=name,
        method=method,
        path=path,
        served_by=served_by,
        unwired=unwired,
        body_limit=body.limit,
        too_large=body.too_large,
        body_code=body.code,
        needs=needs,
        extension=extension,
    )


def _bridge_collection(kind: str, segment: str) -> tuple[Operation, ...]:
    """The five operations of one bridge collection (contract_facts 4.2)."""
    collection = f"{_BRIDGE}/{segment}"
    return _later(
        "bridge_not_provisioned",
        (f"CreateBridge{kind}", "POST", collection, _PLAIN),
        (f"ListBridge{kind}s", "GET", collection, _NONE),
        (f"GetBridge{kind}", "GET", f"{collection}/{{slug}}", _NONE),
        (f"UpdateBridge{kind}", "PATCH", f"{collection}/{{slug}}", _PLAIN),
        (f"DeleteBridge{kind}", "DELETE", f"{collection}/{{slug}}", _NONE),
    )


# contract_facts 2 and 8.2.
_NODE_SURFACE = (
    _served("events", _BUS_501, _EVENT_PORTS, ("GetNodeEvents", "GET", f"{_NODE}/events", _NONE)),
    _served("state", _BUS_501, _STATE_PORTS, ("GetNodeState", "GET", f"{_NODE}/state", _NONE)),
    _served(
        "heartbeat",
        "heartbeat_not_provisioned",
        ("CredentialResolver", "Store"),
        ("PostNodeHeartbeat", "POST", f"{_NODE}/heartbeat", _HEARTBEAT),
    ),
    _served(
        "endpoint",
        "endpoint_not_provisioned",
        _NODE_WRITE_PORTS,
        ("PutNodeEndpoint", "PUT", f"{_NODE}/endpoint", _ENDPOINT),
    ),
    _later("secrets_not_provisioned", ("GetNodeSecret", "GET", f"{_NODE}/secrets/{{name}}", _NONE)),
    _served(
        "reports",
        "reports_not_provisioned",
        _NODE_WRITE_PORTS,
        ("PutNodeStateReport", "PUT", f"{_NODE}/state/reports/{{key}}", _REPORT),
        ("DeleteNodeStateReport", "DELETE", f"{_NODE}/state/reports/{{key}}", _NONE),
    ),
    _later(
        "capabilities_not_provisioned", ("PutNodeCapabilities", "PUT", f"{_NODE}/capabilities", _CAPABILITIES)
    ),
    _later(
        "integrity_violations_not_provisioned",
        ("PostNodeIntegrityViolations", "POST", f"{_NODE}/integrity-violations", _INTEGRITY),
    ),
    _later(
        "observability_ingest_not_provisioned",
        ("PostNodeMetrics", "POST", f"{_NODE}/metrics", _INGEST),
        ("PostNodeLogs", "POST", f"{_NODE}/logs", _INGEST),
        ("PostNodeAudit", "POST", f"{_NODE}/audit", _INGEST),
    ),
    _served(
        "reachability",
        "reachability_not_provisioned",
        _NODE_READ_PORTS,
        ("GetNodeReachability", "GET", f"{_NODE}/reachability", _NONE),
    ),
    _served(
        "keys",
        "node_keys_rotate_not_provisioned",
        _OPERATOR_PORTS,
        ("PostNodeKeysRotate", "POST", f"{_NODE}/keys/rotate", _NONE),
    ),
    _served(
        "keys",
        "node_keys_rotate_preview_not_provisioned",
        _OPERATOR_PORTS,
        ("GetNodeKeysRotatePreview", "GET", f"{_NODE}/keys/rotate/preview", _NONE),
    ),
    _served(
        "keys",
        "keys_rotate_not_provisioned",
        _NODE_WRITE_PORTS,
        ("PostKeysRotate", "POST", "/v1/keys/rotate", _KEYS_ROTATE),
    ),
    _served("nodes", "nodes_not_provisioned", _OPERATOR_PORTS, ("ListNodes", "GET", "/v1/nodes", _NONE)),
    _later(
        "execution_callback_not_provisioned",
        ("PostNodeExecutionCallback", "POST", f"{_NODE}/executions/{{execution_id}}", _PLAIN),
    ),
    _later(
        "access_session_not_provisioned",
        ("PostNodeSessionCallback", "POST", f"{_NODE}/sessions/{{session_id}}", _PLAIN),
    ),
    _later(
        "psk_delivery_not_provisioned",
        ("GetNodePeerPsk", "GET", f"{_NODE}/peers/{{peer_node_id}}/psk", _NONE),
    ),
)

# contract_facts 3 and 10.
_TENANCY_SURFACE = (
    _served(
        "enrolment",
        "register_not_provisioned",
        ("Store",),
        ("PostRegister", "POST", "/v1/register", _Body(REGISTER_BODY)),
    ),
    _served(
        "bootstrap_tokens",
        "bootstrap_tokens_not_provisioned",
        _OPERATOR_PORTS,
        ("IssueBootstrapToken", "POST", _TOKENS, _TENANCY),
        ("ListBootstrapTokens", "GET", _TOKENS, _NONE),
        ("GetBootstrapTokenMetadata", "GET", f"{_TOKENS}/{{id}}", _NONE),
        ("RevokeBootstrapToken", "DELETE", f"{_TOKENS}/{{id}}", _NONE),
    ),
    _served(
        "domains",
        "domains_not_provisioned",
        _OPERATOR_PORTS,
        ("CreateDomain", "POST", "/v1/domains", _TENANCY),
        ("ListDomains", "GET", "/v1/domains", _NONE),
        ("GetDomain", "GET", "/v1/domains/{id}", _NONE),
        ("PatchDomain", "PATCH", "/v1/domains/{id}", _TENANCY),
        ("DeleteDomain", "DELETE", "/v1/domains/{id}", _NONE),
    ),
    _served(
        "projects",
        "projects_not_provisioned",
        _OPERATOR_PORTS,
        ("CreateProject", "POST", "/v1/projects", _TENANCY),
        ("ListProjects", "GET", "/v1/projects", _NONE),
        ("GetProject", "GET", "/v1/projects/{id}", _NONE),
    ),
    _served(
        "resources",
        "resources_not_provisioned",
        _OPERATOR_PORTS,
        ("CreateResource", "POST", _RESOURCES, _PLAIN),
        ("ListProjectResources", "GET", _RESOURCES, _NONE),
        ("GetResource", "GET", "/v1/resources/{id}", _NONE),
        ("DeleteResource", "DELETE", "/v1/resources/{id}", _NONE),
    ),
    _served(
        "labels",
        "labels_not_provisioned",
        _OPERATOR_PORTS,
        ("PutObjectLabel", "PUT", _LABELS, _PLAIN),
        ("DeleteObjectLabel", "DELETE", _LABELS, _NONE),
        ("ListObjectLabels", "GET", _LABELS, _NONE),
        ("CreateLabelDefinition", "POST", "/v1/label-definitions", _PLAIN),
    ),
)

# contract_facts 4.7.
_META = _served(
    "meta",
    "meta_not_provisioned",
    (),
    ("GetHealth", "GET", "/v1/health", _NONE),
    ("GetVersion", "GET", "/v1/version", _NONE),
    ("GetOpenAPI", "GET", "/v1/openapi.json", _NONE),
    ("GetDocs", "GET", "/v1/docs", _NONE),
    ("GetDocsAsset", "GET", "/v1/docs/assets/{asset}", _NONE),
)

# protocol.md: PROD-1, 10a, KEY-5, KEY-6; and the Prometheus page.
_EXTENSIONS = (
    _served(
        "enrolment",
        "domain_nodes_not_provisioned",
        _OPERATOR_PORTS,
        ("CreateDomainNode", "POST", "/v1/domains/{id}/nodes", _TENANCY),
        extension=True,
    ),
    _served(
        "nodes",
        "nodes_not_provisioned",
        _OPERATOR_PORTS,
        ("DeleteNode", "DELETE", _NODE, _NONE),
        extension=True,
    ),
    _served(
        "state_entries",
        "state_entries_not_provisioned",
        _OPERATOR_PORTS,
        ("PutNodeStateEntry", "PUT", _ENTRY, _STATE_ENTRY),
        ("DeleteNodeStateEntry", "DELETE", _ENTRY, _NONE),
        extension=True,
    ),
    _served(
        "signing_keys",
        "signing_keys_not_provisioned",
        _OPERATOR_PORTS,
        ("ProvisionSigningKey", "POST", _SIGNING_KEYS, _TENANCY),
        ("RotateSigningKey", "POST", f"{_SIGNING_KEYS}/rotate", _TENANCY),
        ("ListSigningKeys", "GET", _SIGNING_KEYS, _NONE),
        extension=True,
    ),
    _served(
        "signing_keys",
        "signing_keys_not_provisioned",
        _NODE_READ_PORTS,
        ("GetNodeSigningKeys", "GET", f"{_NODE}/signing-keys", _NONE),
        extension=True,
    ),
    _served("meta", "meta_not_provisioned", (), ("GetMetrics", "GET", "/metrics", _NONE), extension=True),
)

# contract_facts 4.1 to 4.6: published, served by later issues.
_LATER = (
    _later(
        "policies_not_provisioned",
        ("ListPolicies", "GET", _POLICIES, _NONE),
        ("CreatePolicy", "POST", _POLICIES, _POLICY),
        ("GetPolicy", "GET", _POLICY_PATH, _NONE),
        ("UpdatePolicy", "PATCH", _POLICY_PATH, _POLICY),
        ("DeletePolicy", "DELETE", _POLICY_PATH, _NONE),
        ("ListPolicyRevisions", "GET", f"{_POLICY_PATH}/revisions", _NONE),
        ("GetPolicyRevision", "GET", f"{_POLICY_PATH}/revisions/{{revision_id}}", _NONE),
        ("DryRunPolicy", "POST", f"{_POLICY_PATH}/dry-run", _POLICY),
        ("DiffPolicyRevisions", "GET", f"{_POLICY_PATH}/diff", _NONE),
    ),
    _later(
        "bridge_not_provisioned",
        ("GetBridgeRelay", "GET", f"{_BRIDGE}/relay", _NONE),
        ("ConfigureBridgeRelay", "PUT", f"{_BRIDGE}/relay", _PLAIN),
    ),
    _bridge_collection("UserAccessProvider", "user-access"),
    _bridge_collection("IngressRule", "ingress"),
    _bridge_collection("SiteToSiteTunnel", "site-to-site"),
    _later(
        "audit_not_provisioned",
        ("ListAuditEntries", "GET", f"{_AUDIT}/entries", _NONE),
        ("GetAuditEntry", "GET", f"{_AUDIT}/entries/{{seq}}", _NONE),
        ("VerifyAuditChain", "POST", f"{_AUDIT}/verify", _Body(SMALL_BODY)),
    ),
    _later(
        "mesh_topology_not_provisioned",
        ("GetDomainMeshTopology", "GET", "/v1/domains/{domain_id}/mesh/topology", _NONE),
    ),
    _later(
        "actions_dispatch_not_provisioned",
        ("DispatchExecution", "POST", f"{_EXECUTIONS}/dispatch", _PLAIN),
        ("ListExecutions", "GET", _EXECUTIONS, _NONE),
        ("GetExecution", "GET", f"{_EXECUTIONS}/{{execution_id}}", _NONE),
    ),
    _later(
        "access_session_not_provisioned",
        ("IssueSession", "POST", _SESSIONS, _PLAIN),
        ("ListSessions", "GET", _SESSIONS, _NONE),
        ("GetSession", "GET", f"{_SESSIONS}/{{session_id}}", _NONE),
        ("RevokeSession", "POST", f"{_SESSIONS}/{{session_id}}/revoke", _PLAIN),
    ),
)

OPERATIONS: tuple[Operation, ...] = tuple(
    chain(*_NODE_SURFACE, *_TENANCY_SURFACE, _META, *_LATER, *_EXTENSIONS)
)
