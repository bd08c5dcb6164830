"""The 501 codes: what is not wired or not served says so (GATE-1…3)."""

from reference_server.problems.row import phrase

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

UNWIRED = {code: phrase(501, _UNWIRED_SENTENCE) for code in sorted(PUBLISHED_UNWIRED | OUR_UNWIRED)}
