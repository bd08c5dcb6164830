"""An exchange as a curl line that anybody can repeat; credentials stand in it as shell variables."""

import re
import shlex

from conformance.probe.transcript import Exchange

# curl adds these by itself, or they hold for one connection only.
_OWN_HEADERS = frozenset({"host", "content-length", "user-agent"})
_VARIABLE = re.compile(r"\$BUSPROOF_[A-Z0-9_]+")


def line(exchange: Exchange, base_url: str) -> str:
    """The command, or nothing for bytes that curl would not send so."""
    if exchange.request_raw:
        return ""
    origin = re.sub(r"^(https?://[^/]+).*$", r"\1", base_url)
    words = ["curl", "-isSN", "--http1.1", "-X", exchange.method]
    for name, value in exchange.request_headers:
        if name.lower() not in _OWN_HEADERS:
            words += ["-H", _quoted(f"{name}: {value}")]
    if exchange.request_body:
        words += ["--data-binary", _quoted(exchange.request_body.decode("utf-8", "replace"))]
    words.append(_quoted(origin + exchange.target))
    return " ".join(words)


def _quoted(text: str) -> str:
    if not _VARIABLE.search(text):
        return shlex.quote(text)
    escaped = re.sub(r'(["\\`]|\$(?!BUSPROOF_))', r"\\\1", text)
    return f'"{escaped}"'
