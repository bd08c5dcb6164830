"""Refusals of the operator surface: Domains, Projects, Resources, labels, keys (contract_facts 3, 10)."""

from reference_server.problems.row import coded

TENANCY = dict(
    [
        coded(400, "invalid_body", "The body is not a JSON document that this operation takes."),
        coded(413, "request_body_too_large", "The body is larger than this operation takes."),
        coded(400, "invalid_limit", "limit is not a number from 1 to 200."),
        coded(400, "invalid_domain_filter", "domain_id is not a UUID."),
        coded(400, "invalid_domain", "A field of the Domain is missing or not acceptable."),
        coded(400, "invalid_domain_id", "The Domain id in the path is not a non-zero UUID."),
        coded(
            400,
            "invalid_reachability_policy",
            "The three reachability durations do not fit together or are not all there.",
        ),
        coded(400, "slug_immutable", "A slug cannot be changed."),
        coded(400, "empty_patch", "The patch changes nothing that can be changed."),
        coded(404, "domain_not_found", "There is no such Domain."),
        coded(409, "domain_slug_conflict", "Another Domain has this slug."),
        coded(409, "mesh_cidr_overlap", "The range overlaps that of another Domain."),
        coded(409, "domain_not_empty", "The Domain still has children; child_counts says how many."),
        coded(422, "mesh_cidr_invalidates_subrange", "The range would leave a Project's range outside."),
        coded(400, "invalid_project", "A field of the Project is missing or not acceptable."),
        coded(400, "invalid_project_id", "The Project id in the path is not a non-zero UUID."),
        coded(404, "project_not_found", "There is no such Project."),
        coded(409, "project_slug_conflict", "Another Project of the Domain has this slug."),
        coded(409, "sub_range_overlap", "The range overlaps that of another Project."),
        coded(409, "parent_domain_missing", "The parent Domain does not exist."),
        coded(409, "project_not_empty", "The Project still has children."),
        coded(422, "sub_range_invalidates_allocation", "The range would leave an address in use outside."),
        coded(400, "invalid_resource_id", "The Resource id in the path is not a UUID."),
        coded(400, "invalid_resource", "A field of the Resource is missing or not acceptable."),
        coded(400, "invalid_resource_origin", "origin is neither adopted nor provisioned."),
        coded(404, "resource_not_found", "There is no such Resource."),
        coded(409, "resource_handle_conflict", "Another Resource of the Project has this handle."),  # ours
        coded(409, "resource_not_empty", "Nodes are still registered with the Resource."),  # ours
        coded(
            422, "resource_origin_unsupported", "This server adopts Resources and provisions none."
        ),  # ours
        coded(
            400, "invalid_object", "The path names no kind of object, or no id, that can carry labels."
        ),  # ours
        coded(404, "object_not_found", "There is no such object."),  # ours
        coded(400, "invalid_label", "The label assignment is missing a field or has one too many."),  # ours
        coded(
            400, "invalid_label_definition", "A field of the definition is missing or not acceptable."
        ),  # ours
        coded(404, "label_definition_not_found", "There is no such label definition."),  # ours
        coded(409, "label_definition_conflict", "A definition with this key exists in the scope."),  # ours
        coded(409, "label_immutable", "The label cannot be changed once it is set."),  # ours
        coded(422, "label_value_invalid", "The value does not satisfy the definition's schema."),  # ours
        coded(422, "label_not_applicable", "The definition does not apply to this kind of object."),  # ours
        coded(
            409, "signing_key_exists", "The Domain has an active signing key; rotate it instead."
        ),  # ours, KEY-5
        coded(
            409, "signing_key_missing", "The Domain has no signing key to rotate; provision one."
        ),  # ours, KEY-5
        coded(
            400, "invalid_transition", "transition_seconds is not a number from 60 to 604800."
        ),  # ours, KEY-5
    ]
)
