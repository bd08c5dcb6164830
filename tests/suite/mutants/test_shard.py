"""A representative shard of the matrix, for every run of the tests; `make mutants` runs it whole."""

import pytest

from fixtures.broken.catalogue import DEFECTS
from tests.suite.mutants import bench

# One or two of each kind, the quick ones; together well under a minute.
SHARD = (
    "retry-field",
    "raw-angle-brackets",
    "signed-digest",
    "tail-from-the-start",
    "repeated-at-the-join",
    "whole-domain-on-each-stream",
    "existence-before-relation",
    "credentials-before-501",
    "underscored-type",
    "late-rows-by-the-present-key",
    "chain-without-links",
    "peers-backwards",
    "nonces-not-needed",
)


@pytest.mark.parametrize("name", SHARD)
async def test_it_is_caught_by_exactly_what_it_names(name: str) -> None:
    outcome = await bench.run(DEFECTS[name])
    if outcome.surprise:  # a stalled machine can make a check miss, once
        outcome = await bench.run(DEFECTS[name])
    assert outcome.surprise == ""
    assert outcome.own
