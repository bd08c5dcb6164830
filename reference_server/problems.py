"""The problems table: every code that the server answers with, and its one sentence (ERR-5).

A row is (status, sentence) and, where they differ from the rule, the title and the reason of a denial.
Statuses and codes: contract_facts section 6 and protocol.md; what is marked "ours" has no published code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType

# contract_facts 1.3: tenancy and bridge title a problem with its code, the node surface with the phrase.
_UPPER_CASE_WORDS = MappingProxyType({"cidr": "CIDR", "acme": "ACME", "nsk": "NSK", "psk": "PSK"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is fixed about one code. `reason` is set for authorisation refusals (ERR-4)."""

    status: int
    title: str
    detail: str
    reason: str | None = None
    retry_after_seconds: int | None = None


# Seconds after which a caller may try again; long enough that a fleet does not hammer a recovering server.
_RETRY_SECONDS = 5


def _phrase(status: int, detail: str, *, title: str | None = None, retry: bool = False) -> Problem:
    return Problem(
        status=status,
        title=title or HTTPStatus(status).phrase,
        detail=detail,
        retry_after_seconds=_RETRY_SECONDS if retry else None,
    )


def _coded(status: int, code: str, detail: str) -> tuple[str, Problem]:
    words = (_UPPER_CASE_WORDS.get(word, word.capitalize()) for word in code.split("_"))
    return code, Problem(status=status, title=" ".join(words), detail=detail)


def _denied(detail: str, reason: str) -> Problem:
    return Problem(status=403, title=HTTPStatus.FORBIDDEN.phrase, detail=detail, reason=reason)


_ADMISSION = {
    "unauthenticated": _phrase(
        401, "No valid operator credential was sent; send a bearer token that is in force."
    ),
    "unauthorized": _phrase(401, "The Authorization header is missing or is not one bearer credential."),
    "nsk_invalid": _phrase(
        401, "The Node credential cannot be resolved; send the one that registration gave."
    ),
    "nsk_revoked": _phrase(401, "The Node credential was revoked; the Node has to register again."),
    "step_up_required": _phrase(401, "This action needs a fresh step-up sign-in."),
    "node_id_mismatch": _denied("The Node credential belongs to another Node.", "insufficient_relation"),
    "nsk_node_mismatch": _denied("The Node credential belongs to another Node.", "insufficient_relation"),
    "insufficient_relation": _denied(
        "The caller lacks the relation that this operation needs.", "insufficient_relation"
    ),
    "permission_denied": _denied(
        "The caller may not do this; ask for the missing relation.", "insufficient_relation"
    ),
    "cursor_binding_mismatch": _denied(
        "The cursor was made for another caller; start the list again.", "out_of_scope"
    ),
    "csrf_token_mismatch": _phrase(403, "The CSRF header does not equal the CSRF cookie."),
    "csrf_origin_mismatch": _phrase(403, "The request comes from an origin that is not allowed."),
    "csrf_origin_not_configured": _phrase(403, "No origin is allowed to use the session cookie here."),
    "authz_unavailable": _phrase(
        503, "Whether the caller may do this cannot be decided now; try again.", retry=True
    ),
    "internal": _phrase(500, "The server failed; name the correlation id when you report it."),
}

_STREAM_AND_STATE = {
    "invalid_node_id": _phrase(400, "The Node id in the path is not a UUID."),  # ours, GATE-13
    "node_not_found": _phrase(404, "There is no such Node.", title="Node Not Found"),
    "invalid_cursor": _phrase(400, "The cursor is not one that this server made; start without it."),
    "last_event_id_outside_replay_window": _phrase(
        410, "The cursor is outside the replay window; open a stream without it and pull the state."
    ),
    "event_stream_unavailable": _phrase(
        503, "The event log cannot be reached; keep pulling the state and try again.", retry=True
    ),
    "datastore_unavailable": _phrase(503, "The data store cannot be reached; try again.", retry=True),
    "invalid_report": _phrase(
        400, "The report's body, key or value is not acceptable; a value holds 4096 bytes."
    ),
    "report_not_found": _phrase(404, "There is no report under this key."),
    "report_quota_exceeded": _phrase(409, "The Node's stored entries are at their limit; delete some first."),
    "payload_too_large": _phrase(413, "The body is larger than this operation takes."),
    "invalid_state_entry": _phrase(400, "The entry's body, key or value is not acceptable."),  # ours
    "state_entry_not_found": _phrase(404, "There is no entry under this key."),  # ours
}

_NODE_WRITES = {
    "clock_skew": _phrase(400, "client_now is more than 60 seconds away from the server's clock."),
    "binary_checksum_empty": _phrase(400, "binary_checksum is missing or is not base64 of 32 bytes."),
    "binary_version_empty": _phrase(400, "binary_version is missing or blank."),
    "malformed_heartbeat_request": _phrase(
        400, "The heartbeat is not a JSON object of the published fields."
    ),
    "endpoint_clock_skew": _phrase(400, "reported_at is outside the window around the server's clock."),
    "endpoint_unparseable": _phrase(400, "endpoint is not a routable ip:port."),
    "malformed_endpoint_request": _phrase(400, "The report is not a JSON object of the published fields."),
    "endpoint_peer_not_found": _phrase(404, "The Node has no live Peer.", title="Peer Not Found"),
    "endpoint_peer_gone": _phrase(410, "The Peer was deregistered; stop reporting.", title="Peer Gone"),
    "endpoint_body_too_large": _phrase(413, "The body is larger than 4096 bytes."),
    "malformed_keys_rotate_request": _phrase(400, "The body is not a JSON object of the published fields."),
    "keys_rotate_peer_not_found": _phrase(404, "The Node has no live Peer.", title="Peer Not Found"),
    "keys_rotate_no_pending_rotation": _phrase(409, "No rotation is pending for this Node."),
    "keys_rotate_body_too_large": _phrase(413, "The body is larger than 4096 bytes."),
    "keys_rotate_public_key_invalid": _phrase(
        422, "new_public_key is not base64 of 32 bytes that are not all zero."
    ),
    "keys_rotate_public_key_unchanged": _phrase(422, "new_public_key is the key already in force."),
    "binary_checksum_invalid": _phrase(400, "binary_checksum is missing or is not base64 of 32 bytes."),
    "ssh_host_key_fingerprint_invalid": _phrase(400, "The host key fingerprint is not SHA256: and base64."),
    "declared_hook_invalid": _phrase(400, "A declared hook has no name or no 32-byte checksum."),
    "declared_hook_duplicate": _phrase(400, "Two declared hooks have one name."),
    "declared_hooks_too_many": _phrase(400, "More than 128 declared hooks."),
    "malformed_capabilities_request": _phrase(
        400, "The manifest is not a JSON object of the published fields."
    ),
    "capabilities_node_not_found": _phrase(404, "The Node is gone.", title="Node Not Found"),
    "capabilities_body_too_large": _phrase(413, "The body is larger than 32768 bytes."),
    "plexd_hook_invalid": _phrase(422, "A discovered hook has no name, a bad digest or a negative timeout."),
    "plexd_hook_duplicate": _phrase(422, "Two discovered hooks have one name."),
    "plexd_hooks_too_many": _phrase(422, "More than 128 discovered hooks."),
    "builtin_action_invalid": _phrase(422, "A built-in action or one of its parameters has no proper name."),
    "builtin_action_duplicate": _phrase(422, "Two built-in actions have one name."),
    "builtin_actions_too_many": _phrase(422, "More than 128 built-in actions, or 64 parameters in one."),
    "malformed_integrity_violations_request": _phrase(
        400, "The batch is not a JSON object of the published fields."
    ),
    "integrity_violations_empty": _phrase(400, "The batch holds no violation."),
    "integrity_violation_kind_invalid": _phrase(400, "A violation's kind is none of the published ones."),
    "integrity_violation_kind_mismatch": _phrase(400, "A violation carries fields of the other kind."),
    "integrity_violation_detected_by_invalid": _phrase(
        400, "A violation's detector is none of the published ones."
    ),
    "integrity_violation_artifact_id_empty": _phrase(400, "A violation names no artifact."),
    "integrity_violation_checksum_invalid": _phrase(
        400, "A checksum is missing or is not base64 of 32 bytes."
    ),
    "integrity_violation_host_key_fingerprint_invalid": _phrase(
        400, "A fingerprint is not SHA256: and base64."
    ),
    "integrity_violations_node_not_found": _phrase(404, "The Node is gone.", title="Node Not Found"),
    "integrity_violations_body_too_large": _phrase(413, "The body is larger than 32768 bytes."),
    "integrity_violations_too_many": _phrase(413, "The batch holds more than 128 violations."),
}

_INGEST_SECRETS_CALLBACKS = {
    "ingest_sent_at_invalid": _phrase(400, "X-Plexsphere-Sent-At is missing or is not an RFC 3339 time."),
    "ingest_encoding_invalid": _phrase(400, "The body does not inflate."),
    "ingest_batch_malformed": _phrase(400, "The batch is empty or one of its records is not acceptable."),
    "ingest_body_too_large": _phrase(413, "The batch is larger than this server takes."),
    "ingest_batch_too_many_records": _phrase(413, "The batch holds more records than this server takes."),
    "ingest_encoding_unsupported": _phrase(415, "Content-Encoding is neither gzip nor identity."),
    "per_node_rate_limited": _phrase(429, "The Node's budget is used up; wait.", retry=True),
    "per_domain_rate_limited": _phrase(429, "The Domain's budget is used up; wait.", retry=True),
    "capacity_exceeded": _phrase(429, "The Domain's capacity is used up; wait.", retry=True),
    "ingest_buffer_unavailable": _phrase(503, "The batch cannot be taken now; send it again.", retry=True),
    "secret_not_found": _phrase(404, "The Node has no secret of this name."),
    "secret_version_not_found": _phrase(404, "The secret has no such version."),
    "openbao_unavailable": _phrase(503, "The secret store cannot be reached; try again.", retry=True),
    "peer_not_found": _phrase(404, "There is no such Peer in this Node's Domain.", title="Peer Not Found"),
    "psk_not_ready": _phrase(409, "The key of this edge is not ready; ask again at the next reconcile."),
    "node_deregistered": _phrase(403, "The Node was deregistered; it has to register again."),
    "execution_not_found": _phrase(404, "There is no such execution here."),
    "invalid_execution_id": _phrase(400, "The execution id in the path is not a UUID."),
    "invalid_state_transition": _phrase(409, "The execution cannot move to this status from where it is."),
    "execution_already_terminal": _phrase(409, "The execution has already ended."),
    "inline_output_too_large": _phrase(413, "Inline output is larger than 16 KiB; declare it and upload it."),
    "malformed_selector": _phrase(400, "The selector cannot be read."),
    "action_not_declared": _phrase(400, "A target has not declared this action."),
    "hook_integrity_violation": _phrase(409, "The hook's digest is not its known good one."),
    "selector_empty_cohort": _phrase(422, "No Node is left after matching."),
    "session_not_found": _phrase(404, "There is no such session here."),
    "session_already_revoked": _phrase(409, "The session was revoked."),
    "session_expired": _phrase(409, "The session has expired."),
    "invalid_session_id": _phrase(400, "The session id in the path is not a UUID."),
    "invalid_target": _phrase(400, "The session's target does not fit its kind."),
    "idempotent_replay": _phrase(409, "A request with this idempotency key is still under way."),
    "session_limit_exceeded": _phrase(429, "The number or rate of sessions is at its limit."),
    "signing_unavailable": _phrase(
        503, "The signer cannot be reached; nothing was stored, try again.", retry=True
    ),
}

_ENROLMENT = {
    "public_key_invalid": _phrase(400, "public_key is not base64 of 32 bytes that are not all zero."),
    "kind_mismatch": _phrase(403, "The bootstrap token is for the other kind of registration."),
    "project_mismatch": _phrase(403, "The bootstrap token belongs to another Project."),
    "token_consumed": _phrase(403, "The bootstrap token was used before."),
    "token_expired": _phrase(403, "The bootstrap token has expired."),
    "token_revoked": _phrase(403, "The bootstrap token was revoked."),
    "token_unknown": _phrase(403, "The bootstrap token is not one of this server."),  # ours, A-36
    "nonce_collision": _phrase(403, "The nonce was used before in this Project."),
    "invariant_violation": _phrase(422, "A field of the registration is empty or malformed."),
    "bootstrap_token_invalid": _phrase(422, "The bootstrap token does not follow its grammar."),
    "pool_exhausted": _phrase(503, "The Domain has no mesh address left."),
    "subrange_exhausted": _phrase(503, "The Project's range has no mesh address left."),
    "allocator_contention": _phrase(503, "No mesh address could be reserved in time; try again.", retry=True),
    "signing_key_not_provisioned": _phrase(
        503, "The Domain has no signing key yet; the token stays unused.", retry=True
    ),
    "bootstrap_token_not_found": _phrase(404, "There is no such bootstrap token."),  # ours
    "bootstrap_token_settled": _phrase(409, "The bootstrap token was already used or revoked."),  # ours
    "invalid_bootstrap_token_id": _phrase(400, "The token id in the path is not a UUID."),  # ours
    "invalid_bootstrap_token_request": _phrase(  # ours
        400, "kind, env_prefix or ttl_seconds is not acceptable; a token lives 300 to 86400 seconds."
    ),
    "invalid_node": _phrase(400, "A field of the Node is missing or not acceptable."),  # ours
}

_TENANCY = dict(
    [
        _coded(400, "invalid_body", "The body is not a JSON document that this operation takes."),
        _coded(413, "request_body_too_large", "The body is larger than this operation takes."),
        _coded(400, "invalid_limit", "limit is not a number from 1 to 200."),
        _coded(400, "invalid_domain_filter", "domain_id is not a UUID."),
        _coded(400, "invalid_domain", "A field of the Domain is missing or not acceptable."),
        _coded(400, "invalid_domain_id", "The Domain id in the path is not a non-zero UUID."),
        _coded(
            400,
            "invalid_reachability_policy",
            "The three reachability durations do not fit together or are not all there.",
        ),
        _coded(400, "slug_immutable", "A slug cannot be changed."),
        _coded(400, "empty_patch", "The patch changes nothing that can be changed."),
        _coded(404, "domain_not_found", "There is no such Domain."),
        _coded(409, "domain_slug_conflict", "Another Domain has this slug."),
        _coded(409, "mesh_cidr_overlap", "The range overlaps that of another Domain."),
        _coded(409, "domain_not_empty", "The Domain still has children; child_counts says how many."),
        _coded(422, "mesh_cidr_invalidates_subrange", "The range would leave a Project's range outside."),
        _coded(400, "invalid_project", "A field of the Project is missing or not acceptable."),
        _coded(400, "invalid_project_id", "The Project id in the path is not a non-zero UUID."),
        _coded(404, "project_not_found", "There is no such Project."),
        _coded(409, "project_slug_conflict", "Another Project of the Domain has this slug."),
        _coded(409, "sub_range_overlap", "The range overlaps that of another Project."),
        _coded(409, "parent_domain_missing", "The parent Domain does not exist."),
        _coded(409, "project_not_empty", "The Project still has children."),
        _coded(422, "sub_range_invalidates_allocation", "The range would leave an address in use outside."),
        _coded(400, "invalid_resource_id", "The Resource id in the path is not a UUID."),
        _coded(400, "invalid_resource", "A field of the Resource is missing or not acceptable."),
        _coded(400, "invalid_resource_origin", "origin is neither adopted nor provisioned."),
        _coded(404, "resource_not_found", "There is no such Resource."),
        _coded(409, "resource_handle_conflict", "Another Resource of the Project has this handle."),  # ours
        _coded(409, "resource_not_empty", "Nodes are still registered with the Resource."),  # ours
        _coded(
            422, "resource_origin_unsupported", "This server adopts Resources and provisions none."
        ),  # ours
        _coded(
            400, "invalid_object", "The path names no kind of object, or no id, that can carry labels."
        ),  # ours
        _coded(404, "object_not_found", "There is no such object."),  # ours
        _coded(400, "invalid_label", "The label assignment is missing a field or has one too many."),  # ours
        _coded(
            400, "invalid_label_definition", "A field of the definition is missing or not acceptable."
        ),  # ours
        _coded(404, "label_definition_not_found", "There is no such label definition."),  # ours
        _coded(409, "label_definition_conflict", "A definition with this key exists in the scope."),  # ours
        _coded(409, "label_immutable", "The label cannot be changed once it is set."),  # ours
        _coded(422, "label_value_invalid", "The value does not satisfy the definition's schema."),  # ours
        _coded(422, "label_not_applicable", "The definition does not apply to this kind of object."),  # ours
        _coded(
            409, "signing_key_exists", "The Domain has an active signing key; rotate it instead."
        ),  # ours, KEY-5
        _coded(
            409, "signing_key_missing", "The Domain has no signing key to rotate; provision one."
        ),  # ours, KEY-5
        _coded(
            400, "invalid_transition", "transition_seconds is not a number from 60 to 604800."
        ),  # ours, KEY-5
    ]
)

_POLICY_AND_BRIDGE = dict(
    [
        _coded(409, "policy_slug_taken", "Another policy of the Project has this slug."),
        _coded(
            409, "revision_conflict", "The policy has a newer revision; fetch it and apply the change to it."
        ),
        _coded(404, "revision_not_visible", "The policy has no such revision."),
        _coded(422, "unknown_action", "A rule's action is none of the published ones."),
        _coded(422, "unknown_protocol", "A rule's protocol is none of the published ones."),
        _coded(422, "cidr_family_mismatch", "A rule mixes IPv4 and IPv6."),
        _coded(422, "port_range_inverted", "A rule's port range ends before it begins."),
        _coded(422, "selector_syntax_error", "A selector is empty or cannot be read."),
        _coded(400, "port_out_of_range", "A port is not a number from 1 to 65535."),
        _coded(400, "secret_ref_malformed", "auth_secret_ref is not a secret reference."),
        _coded(400, "target_node_not_in_domain", "The target Node is not in the Resource's Domain."),
        _coded(400, "allowed_subnet_empty", "allowed_subnets is empty."),
        _coded(409, "resource_not_bridge", "The Resource is not of kind bridge."),
        _coded(409, "bridge_port_conflict", "Another part of this bridge uses the port."),
        _coded(409, "slug_conflict", "The slug or host name is taken on this Resource."),
        _coded(409, "subnet_overlap_with_mesh", "A subnet overlaps the Domain's mesh range."),
        _coded(409, "subnet_overlap_with_tunnel", "A subnet overlaps that of another tunnel."),
        _coded(422, "acme_directory_unreachable", "The ACME directory does not answer properly."),
    ]
)

_UNWIRED_SENTENCE = "This surface is not provisioned on this server."

# contract_facts section 6, the 501 rows; published.
PUBLISHED_UNWIRED = frozenset(
    {
        "access_session_not_provisioned",
        "actions_dispatch_not_provisioned",
        "audit_not_provisioned",
        "capabilities_not_provisioned",
        "endpoint_not_provisioned",
        "execution_callback_not_provisioned",
        "heartbeat_not_provisioned",
        "integrity_violations_not_provisioned",
        "keys_rotate_not_provisioned",
        "mesh_topology_not_provisioned",
        "node_keys_rotate_not_provisioned",
        "node_keys_rotate_preview_not_provisioned",
        "observability_ingest_not_provisioned",
        "psk_delivery_not_provisioned",
        "reachability_not_provisioned",
        "reports_not_provisioned",
        "secrets_not_provisioned",
        "signed_event_bus_not_provisioned",
    }
)

# Surfaces that publish no 501 (contract_facts 1.3, last row) or are extensions; ours.
OUR_UNWIRED = frozenset(
    {
        "bootstrap_tokens_not_provisioned",
        "bridge_not_provisioned",
        "domain_nodes_not_provisioned",
        "domains_not_provisioned",
        "labels_not_provisioned",
        "meta_not_provisioned",
        "nodes_not_provisioned",
        "policies_not_provisioned",
        "projects_not_provisioned",
        "register_not_provisioned",
        "resources_not_provisioned",
        "signing_keys_not_provisioned",
        "state_entries_not_provisioned",
    }
)

_UNWIRED = {code: _phrase(501, _UNWIRED_SENTENCE) for code in sorted(PUBLISHED_UNWIRED | OUR_UNWIRED)}

PROBLEMS: Mapping[str, Problem] = MappingProxyType(
    {
        **_ADMISSION,
        **_STREAM_AND_STATE,
        **_NODE_WRITES,
        **_INGEST_SECRETS_CALLBACKS,
        **_ENROLMENT,
        **_TENANCY,
        **_POLICY_AND_BRIDGE,
        **_UNWIRED,
    }
)

# Refusals that have no code: `about:blank` with the status's own phrase (ERR-2, ERR-6).
UNCODED: Mapping[int, Problem] = MappingProxyType(
    {
        400: _phrase(400, "The request is not one that this server can read."),
        404: _phrase(404, "There is nothing at this path."),
        405: _phrase(405, "This path does not take this method; Allow lists those that it takes."),
        406: _phrase(406, "The Accept header excludes what this path answers with."),
        408: _phrase(408, "The request did not arrive in time."),
        411: _phrase(411, "The length of the body has to be announced."),
        413: _phrase(413, "The body is larger than this server takes.", title="Payload Too Large"),
        414: _phrase(414, "The request target is longer than this server takes."),
        415: _phrase(415, "This operation does not take this kind of body."),
        417: _phrase(417, "The expectation cannot be met."),
        429: _phrase(429, "Too many requests; wait.", retry=True),
        431: _phrase(431, "The request head is larger than this server takes."),
        500: _phrase(500, "The server failed; name the correlation id when you report it."),
        501: _phrase(501, "This server does not implement what the request asks for."),
        503: _phrase(503, "The server cannot answer now; try again.", retry=True),
        505: _phrase(505, "This server speaks HTTP/1.1 and HTTP/1.0."),
    }
)
