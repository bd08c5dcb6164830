"""Refusals of published operations that later issues serve (contract_facts 2, 4)."""

from reference_server.problems.row import coded, phrase

INGEST_SECRETS_CALLBACKS = {
    "ingest_sent_at_invalid": phrase(400, "X-Plexsphere-Sent-At is missing or is not an RFC 3339 time."),
    "ingest_encoding_invalid": phrase(400, "The body does not inflate."),
    "ingest_batch_malformed": phrase(400, "The batch is empty or one of its records is not acceptable."),
    "ingest_body_too_large": phrase(413, "The batch is larger than this server takes."),
    "ingest_batch_too_many_records": phrase(413, "The batch holds more records than this server takes."),
    "ingest_encoding_unsupported": phrase(415, "Content-Encoding is neither gzip nor identity."),
    "per_node_rate_limited": phrase(429, "The Node's budget is used up; wait.", retry=True),
    "per_domain_rate_limited": phrase(429, "The Domain's budget is used up; wait.", retry=True),
    "capacity_exceeded": phrase(429, "The Domain's capacity is used up; wait.", retry=True),
    "ingest_buffer_unavailable": phrase(503, "The batch cannot be taken now; send it again.", retry=True),
    "secret_not_found": phrase(404, "The Node has no secret of this name."),
    "secret_version_not_found": phrase(404, "The secret has no such version."),
    "openbao_unavailable": phrase(503, "The secret store cannot be reached; try again.", retry=True),
    "peer_not_found": phrase(404, "There is no such Peer in this Node's Domain.", title="Peer Not Found"),
    "psk_not_ready": phrase(409, "The key of this edge is not ready; ask again at the next reconcile."),
    "node_deregistered": phrase(403, "The Node was deregistered; it has to register again."),
    "execution_not_found": phrase(404, "There is no such execution here."),
    "invalid_execution_id": phrase(400, "The execution id in the path is not a UUID."),
    "invalid_state_transition": phrase(409, "The execution cannot move to this status from where it is."),
    "execution_already_terminal": phrase(409, "The execution has already ended."),
    "inline_output_too_large": phrase(413, "Inline output is larger than 16 KiB; declare it and upload it."),
    "malformed_selector": phrase(400, "The selector cannot be read."),
    "action_not_declared": phrase(400, "A target has not declared this action."),
    "hook_integrity_violation": phrase(409, "The hook's digest is not its known good one."),
    "selector_empty_cohort": phrase(422, "No Node is left after matching."),
    "session_not_found": phrase(404, "There is no such session here."),
    "session_already_revoked": phrase(409, "The session was revoked."),
    "session_expired": phrase(409, "The session has expired."),
    "invalid_session_id": phrase(400, "The session id in the path is not a UUID."),
    "invalid_target": phrase(400, "The session's target does not fit its kind."),
    "idempotent_replay": phrase(409, "A request with this idempotency key is still under way."),
    "session_limit_exceeded": phrase(429, "The number or rate of sessions is at its limit."),
    "signing_unavailable": phrase(
        503, "The signer cannot be reached; nothing was stored, try again.", retry=True
    ),
}

POLICY_AND_BRIDGE = dict(
    [
        coded(409, "policy_slug_taken", "Another policy of the Project has this slug."),
        coded(
            409, "revision_conflict", "The policy has a newer revision; fetch it and apply the change to it."
        ),
        coded(404, "revision_not_visible", "The policy has no such revision."),
        coded(422, "unknown_action", "A rule's action is none of the published ones."),
        coded(422, "unknown_protocol", "A rule's protocol is none of the published ones."),
        coded(422, "cidr_family_mismatch", "A rule mixes IPv4 and IPv6."),
        coded(422, "port_range_inverted", "A rule's port range ends before it begins."),
        coded(422, "selector_syntax_error", "A selector is empty or cannot be read."),
        coded(400, "port_out_of_range", "A port is not a number from 1 to 65535."),
        coded(400, "secret_ref_malformed", "auth_secret_ref is not a secret reference."),
        coded(400, "target_node_not_in_domain", "The target Node is not in the Resource's Domain."),
        coded(400, "allowed_subnet_empty", "allowed_subnets is empty."),
        coded(409, "resource_not_bridge", "The Resource is not of kind bridge."),
        coded(409, "bridge_port_conflict", "Another part of this bridge uses the port."),
        coded(409, "slug_conflict", "The slug or host name is taken on this Resource."),
        coded(409, "subnet_overlap_with_mesh", "A subnet overlaps the Domain's mesh range."),
        coded(409, "subnet_overlap_with_tunnel", "A subnet overlaps that of another tunnel."),
        coded(422, "acme_directory_unreachable", "The ACME directory does not answer properly."),
    ]
)
