"""What may leave, and what is put into drafts before they do."""

import json
import random

import pytest

from conformance.probe import binding
from conformance.probe.binding import Own
from conformance.probe.draft import Draft, Phase
from conformance.probe.permit import Permit

OURS = "0198c0de-0000-7000-8000-00000000a001"
SPARE = "0198c0de-0000-7000-8000-00000000a002"
FOREIGN = "0198c0de-0000-7000-8000-0000000000ff"
COINED = "e3e70682-c209-1cac-a29f-6fbed82c07cd"


def draft(
    method: str = "PUT",
    target: str = f"/v1/nodes/{OURS}",
    template: str = "/v1/nodes/{id}",
    *,
    valid: bool = True,
    **members: object,
) -> Draft:
    return Draft(
        operation="Some",
        template=template,
        phase=Phase.FUZZING,
        valid=valid,
        what="",
        method=method,
        target=target,
        content_type="application/json",
        body=json.dumps(members).encode() if members else b"",
    )


def permit(*, may_write: bool = True, may_last: bool = True) -> Permit:
    made = Permit(ours={OURS, SPARE}, may_write=may_write, may_last=may_last)
    made.accepted(draft("GET"), json.dumps({"items": [{"id": FOREIGN}, {"id": OURS}]}).encode())
    return made


DOMAIN = ("POST", "/v1/domains", "/v1/domains")
LABEL = ("POST", "/v1/label-definitions", "/v1/label-definitions")


@pytest.mark.parametrize(
    ("asked", "leaves"),
    [
        (draft("GET", f"/v1/nodes/{FOREIGN}"), True),
        (draft(), True),
        (draft("DELETE", f"/v1/nodes/{COINED}"), True),
        (draft("DELETE", f"/v1/nodes/{FOREIGN}"), False),
        (draft("DELETE", f"/v1/nodes/{FOREIGN.upper()}"), False),
        (draft(node_id=FOREIGN), False),
        (draft(*DOMAIN, slug="busproof-x", name="a"), True),
        (draft(*DOMAIN, slug="somebody-s", name="a"), False),
        (draft(*DOMAIN, slug=7, name="a"), False),
        (draft(*DOMAIN, name="a"), False),
        (draft(*DOMAIN), True),
        (draft(*LABEL, scope="domain", scope_id=OURS), True),
        (draft(*LABEL, scope="platform"), False),
    ],
)
def test_writes_are_about_what_is_ours(asked: Draft, leaves: bool) -> None:
    assert (permit().refusal(asked) == "") is leaves


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE", "QUERY"])
def test_without_permission_nothing_is_written(method: str) -> None:
    assert permit(may_write=False).refusal(draft(method)) != ""
    assert permit(may_write=False).refusal(draft("GET")) == ""


def test_what_cannot_be_removed_is_made_on_this_machine_only() -> None:
    project = draft("POST", "/v1/projects", "/v1/projects", name="a", domain_id=OURS)
    assert permit().refusal(project) == ""
    assert permit(may_last=False).refusal(project) != ""


def test_what_we_created_is_ours_and_what_we_read_is_not() -> None:
    made = permit()
    new, read = COINED.replace("e3", "aa"), COINED.replace("e3", "bb")
    made.accepted(draft("POST"), json.dumps({"id": new, "peers": [{"node_id": read}]}).encode())
    assert made.refusal(draft("DELETE", f"/v1/nodes/{new}")) == ""
    assert made.refusal(draft("DELETE", f"/v1/nodes/{read}")) != ""


def own() -> Own:
    things = {"nodes": OURS, "domains": OURS, "projects": OURS}
    words = {"bootstrap_token": "psb_real"}
    return Own(things=things, spares={"nodes": SPARE}, words=words, rng=random.Random(1))


@pytest.mark.parametrize(
    ("asked", "target"),
    [
        (draft("PUT", f"/v1/nodes/{COINED}"), f"/v1/nodes/{OURS}"),
        (draft("DELETE", f"/v1/nodes/{COINED}"), f"/v1/nodes/{SPARE}"),
        (draft("PUT", "/v1/nodes/null"), "/v1/nodes/null"),
        (
            draft("DELETE", f"/v1/nodes/{COINED}/state/data/k", "/v1/nodes/{id}/state/{bucket}/{key}"),
            f"/v1/nodes/{OURS}/state/data/k",
        ),
        (
            draft("PUT", f"/v1/objects/0/{COINED}/labels", "/v1/objects/{kind}/{id}/labels"),
            f"/v1/objects/node/{OURS}/labels",
        ),
        (draft("GET", f"/v1/nodes?domain_id={COINED}", "/v1/nodes"), f"/v1/nodes?domain_id={OURS}"),
        (draft("GET", "/v1/nodes?limit=0&cursor=x", "/v1/nodes"), "/v1/nodes?limit=0"),
        (draft("GET", "/v1/nodes?cursor=x", "/v1/nodes"), "/v1/nodes?cursor=x"),
    ],
)
def test_paths_and_queries_are_about_what_is_ours(asked: Draft, target: str) -> None:
    assert binding.bound(asked, own()).target == target


def test_members_are_replaced_where_they_look_right_and_left_where_they_do_not() -> None:
    asked = draft(
        domain_id=COINED,
        project_id="no id",
        bootstrap_token="psb_example",
        mesh_cidr="10.42.0.0/16",
        client_now="2026-11-02T10:00:00Z",
        name="kept",
        deep={"domain_id": COINED},
    )
    told = json.loads(binding.bound(asked, own()).body)
    assert told["domain_id"] == OURS and told["project_id"] == "no id" and told["name"] == "kept"
    assert told["bootstrap_token"] == "psb_real" and told["mesh_cidr"].endswith("/26")
    assert told["client_now"] > "2026-11-02T10:00:00Z" and told["deep"] == {"domain_id": COINED}


def test_a_label_for_everybody_becomes_one_for_our_domain() -> None:
    told = json.loads(binding.bound(draft(*LABEL, scope="platform", local_key="env"), own()).body)
    assert told["scope"] == "domain" and told["scope_id"] == OURS


@pytest.mark.parametrize(("slug", "expected"), [("fine", "busproof-x"), ("Not Kebab", "Not Kebab")])
def test_a_domain_gets_a_slug_of_ours_unless_its_slug_is_what_is_wrong(slug: str, expected: str) -> None:
    asked = draft(*DOMAIN, slug=slug)
    assert json.loads(binding.with_slug(asked, "busproof-x").body)["slug"] == expected


def test_bodies_that_are_no_objects_stay_as_they_are() -> None:
    for body in (b"", b"\xff", b"[1]", b"null"):
        asked = Draft(**{**{name: getattr(draft(), name) for name in Draft.__slots__}, "body": body})
        assert binding.bound(asked, own()).body == body
