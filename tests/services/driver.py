"""The driver of a deployment as a child process: hands each line to the deployment's verbs."""

import json
import socket
import sys
from pathlib import Path

# Longer than any verb takes: it is the suite that gives up.
_SECONDS = 120.0


def answered(path: Path, line: bytes) -> bytes:
    """The answer of the deployment; what goes wrong on the way is told, never guessed."""
    try:
        with socket.socket(socket.AF_UNIX) as verbs:
            verbs.settimeout(_SECONDS)
            verbs.connect(str(path))
            verbs.sendall(line)
            with verbs.makefile("rb") as answers:
                if answer := answers.readline():
                    return answer
        problem = "no answer"
    except OSError as wrong:
        problem = type(wrong).__name__
    error = {"code": "unreachable", "message": problem}
    return json.dumps({"id": json.loads(line)["id"], "ok": False, "error": error}).encode() + b"\n"


def main() -> None:
    """Until the suite closes our standard input."""
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(answered(Path(sys.argv[1]), line))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
