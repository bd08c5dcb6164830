"""Refusals of the Node surface: admission, stream, state, writes, enrolment (contract_facts 2, 3)."""

from reference_server.problems.row import denied, phrase

ADMISSION = {
    "unauthenticated": phrase(
        401, "No valid operator credential was sent; send a bearer token that is in force."
    ),
    "unauthorized": phrase(401, "The Authorization header is missing or is not one bearer credential."),
    "nsk_invalid": phrase(
        401, "The Node credential cannot be resolved; send the one that registration gave."
    ),
    "nsk_revoked": phrase(401, "The Node credential was revoked; the Node has to register again."),
    "step_up_required": phrase(401, "This action needs a fresh step-up sign-in."),
    "node_id_mismatch": denied("The Node credential belongs to another Node.", "insufficient_relation"),
    "nsk_node_mismatch": denied("The Node credential belongs to another Node.", "insufficient_relation"),
    "insufficient_relation": denied(
        "The caller lacks the relation that this operation needs.", "insufficient_relation"
    ),
    "permission_denied": denied(
        "The caller may not do this; ask for the missing relation.", "insufficient_relation"
    ),
    "cursor_binding_mismatch": denied(
        "The cursor was made for another caller; start the list again.", "out_of_scope"
    ),
    "csrf_token_mismatch": phrase(403, "The CSRF header does not equal the CSRF cookie."),
    "csrf_origin_mismatch": phrase(403, "The request comes from an origin that is not allowed."),
    "csrf_origin_not_configured": phrase(403, "No origin is allowed to use the session cookie here."),
    "authz_unavailable": phrase(
        503, "Whether the caller may do this cannot be decided now; try again.", retry=True
    ),
    "internal": phrase(500, "The server failed; name the correlation id when you report it."),
}

STREAM_AND_STATE = {
    "invalid_node_id": phrase(400, "The Node id in the path is not a UUID."),  # ours, GATE-13
    "node_not_found": phrase(404, "There is no such Node.", title="Node Not Found"),
    "invalid_cursor": phrase(400, "The cursor is not one that this server made; start without it."),
    "last_event_id_outside_replay_window": phrase(
        410, "The cursor is outside the replay window; open a stream without it and pull the state."
    ),
    "event_stream_unavailable": phrase(
        503, "The event log cannot be reached; keep pulling the state and try again.", retry=True
    ),
    "datastore_unavailable": phrase(503, "The data store cannot be reached; try again.", retry=True),
    "invalid_report": phrase(
        400, "The report's body, key or value is not acceptable; a value holds 4096 bytes."
    ),
    "report_not_found": phrase(404, "There is no report under this key."),
    "report_quota_exceeded": phrase(409, "The Node's stored entries are at their limit; delete some first."),
    "payload_too_large": phrase(413, "The body is larger than this operation takes."),
    "invalid_state_entry": phrase(400, "The entry's body, key or value is not acceptable."),  # ours
    "state_entry_not_found": phrase(404, "There is no entry under this key."),  # ours
}

NODE_WRITES = {
    "clock_skew": phrase(400, "client_now is more than 60 seconds away from the server's clock."),
    "binary_checksum_empty": phrase(400, "binary_checksum is missing or is not base64 of 32 bytes."),
    "binary_version_empty": phrase(400, "binary_version is missing or blank."),
    "malformed_heartbeat_request": phrase(400, "The heartbeat is not a JSON object of the published fields."),
    "endpoint_clock_skew": phrase(400, "reported_at is outside the window around the server's clock."),
    "endpoint_unparseable": phrase(400, "endpoint is not a routable ip:port."),
    "malformed_endpoint_request": phrase(400, "The report is not a JSON object of the published fields."),
    "endpoint_peer_not_found": phrase(404, "The Node has no live Peer.", title="Peer Not Found"),
    "endpoint_peer_gone": phrase(410, "The Peer was deregistered; stop reporting.", title="Peer Gone"),
    "endpoint_body_too_large": phrase(413, "The body is larger than 4096 bytes."),
    "malformed_keys_rotate_request": phrase(400, "The body is not a JSON object of the published fields."),
    "keys_rotate_peer_not_found": phrase(404, "The Node has no live Peer.", title="Peer Not Found"),
    "keys_rotate_no_pending_rotation": phrase(409, "No rotation is pending for this Node."),
    "keys_rotate_body_too_large": phrase(413, "The body is larger than 4096 bytes."),
    "keys_rotate_public_key_invalid": phrase(
        422, "new_public_key is not base64 of 32 bytes that are not all zero."
    ),
    "keys_rotate_public_key_unchanged": phrase(422, "new_public_key is the key already in force."),
    "binary_checksum_invalid": phrase(400, "binary_checksum is missing or is not base64 of 32 bytes."),
    "ssh_host_key_fingerprint_invalid": phrase(400, "The host key fingerprint is not SHA256: and base64."),
    "declared_hook_invalid": phrase(400, "A declared hook has no name or no 32-byte checksum."),
    "declared_hook_duplicate": phrase(400, "Two declared hooks have one name."),
    "declared_hooks_too_many": phrase(400, "More than 128 declared hooks."),
    "malformed_capabilities_request": phrase(
        400, "The manifest is not a JSON object of the published fields."
    ),
    "capabilities_node_not_found": phrase(404, "The Node is gone.", title="Node Not Found"),
    "capabilities_body_too_large": phrase(413, "The body is larger than 32768 bytes."),
    "plexd_hook_invalid": phrase(422, "A discovered hook has no name, a bad digest or a negative timeout."),
    "plexd_hook_duplicate": phrase(422, "Two discovered hooks have one name."),
    "plexd_hooks_too_many": phrase(422, "More than 128 discovered hooks."),
    "builtin_action_invalid": phrase(422, "A built-in action or one of its parameters has no proper name."),
    "builtin_action_duplicate": phrase(422, "Two built-in actions have one name."),
    "builtin_actions_too_many": phrase(422, "More than 128 built-in actions, or 64 parameters in one."),
    "malformed_integrity_violations_request": phrase(
        400, "The batch is not a JSON object of the published fields."
    ),
    "integrity_violations_empty": phrase(400, "The batch holds no violation."),
    "integrity_violation_kind_invalid": phrase(400, "A violation's kind is none of the published ones."),
    "integrity_violation_kind_mismatch": phrase(400, "A violation carries fields of the other kind."),
    "integrity_violation_detected_by_invalid": phrase(
        400, "A violation's detector is none of the published ones."
    ),
    "integrity_violation_artifact_id_empty": phrase(400, "A violation names no artifact."),
    "integrity_violation_checksum_invalid": phrase(
        400, "A checksum is missing or is not base64 of 32 bytes."
    ),
    "integrity_violation_host_key_fingerprint_invalid": phrase(
        400, "A fingerprint is not SHA256: and base64."
    ),
    "integrity_violations_node_not_found": phrase(404, "The Node is gone.", title="Node Not Found"),
    "integrity_violations_body_too_large": phrase(413, "The body is larger than 32768 bytes."),
    "integrity_violations_too_many": phrase(413, "The batch holds more than 128 violations."),
}

ENROLMENT = {
    "public_key_invalid": phrase(400, "public_key is not base64 of 32 bytes that are not all zero."),
    "kind_mismatch": phrase(403, "The bootstrap token is for the other kind of registration."),
    "project_mismatch": phrase(403, "The bootstrap token belongs to another Project."),
    "token_consumed": phrase(403, "The bootstrap token was used before."),
    "token_expired": phrase(403, "The bootstrap token has expired."),
    "token_revoked": phrase(403, "The bootstrap token was revoked."),
    "token_unknown": phrase(403, "The bootstrap token is not one of this server."),  # ours, A-36
    "nonce_collision": phrase(403, "The nonce was used before in this Project."),
    "invariant_violation": phrase(422, "A field of the registration is empty or malformed."),
    "bootstrap_token_invalid": phrase(422, "The bootstrap token does not follow its grammar."),
    "pool_exhausted": phrase(503, "The Domain has no mesh address left."),
    "subrange_exhausted": phrase(503, "The Project's range has no mesh address left."),
    "allocator_contention": phrase(503, "No mesh address could be reserved in time; try again.", retry=True),
    "signing_key_not_provisioned": phrase(
        503, "The Domain has no signing key yet; the token stays unused.", retry=True
    ),
    "bootstrap_token_not_found": phrase(404, "There is no such bootstrap token."),  # ours
    "bootstrap_token_settled": phrase(409, "The bootstrap token was already used or revoked."),  # ours
    "invalid_bootstrap_token_id": phrase(400, "The token id in the path is not a UUID."),  # ours
    "invalid_bootstrap_token_request": phrase(  # ours
        400, "kind, env_prefix or ttl_seconds is not acceptable; a token lives 300 to 86400 seconds."
    ),
    "invalid_node": phrase(400, "A field of the Node is missing or not acceptable."),  # ours
}
