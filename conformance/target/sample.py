"""The target file that `busproof target init` writes."""

TEXT = """\
# A server under test. Check this file with: busproof target lint FILE
# Secrets never stand here: credential = "env:NAME" or "file:PATH" (relative to this file).

[target]
name = "my bus"
base_url = "https://bus.example.org"
# Replicas one by one, where base_url leads to any of several.
# base_urls = ["https://one.bus.example.org", "https://two.bus.example.org"]
# The profiles that the server says it keeps.
claims = ["pull", "stream", "replay", "keys"]
# Disruptive checks (restart, outages, eviction) need this and --allow disruptive.
may_disrupt = false

# [tls]
# ca_file = "ca.pem"
# client_certificate = "client.pem"

# node_a and node_b belong to one Domain, node_other to another one.
[identities.node_a]
credential = "env:BUSPROOF_NODE_A"
node_id = "0198c0de-0000-7000-8000-00000000a001"
domain_id = "0198c0de-0000-7000-8000-00000000d001"

# [identities.node_b]
# [identities.node_other]
# [identities.revoked]         a Node whose credential was revoked

# An operator with `manage`: lets the suite make Domains and Nodes of its own (grade G1 and G2).
# [identities.operator]
# credential = "env:BUSPROOF_OPERATOR"

# An operator with `node-agent` on everything.
# [identities.operator_agent]
# credential = "env:BUSPROOF_OPERATOR_AGENT"

# The signing key that the suite may trust from the beginning.
# [[signing_keys]]
# domain_id = "0198c0de-0000-7000-8000-00000000d001"
# key_id = "key-1"
# public_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

# none: nothing but requests. http: the operator surface. command: a child process that speaks JSON lines
# (grade G3 with all fault verbs). socket: the reference server's fault channel.
[driver]
kind = "http"
# command = ["python", "driver.py"]
"""
