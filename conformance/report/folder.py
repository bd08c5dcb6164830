"""The run directory: every file of a run goes through here, whole or not at all, and never with a secret."""

import hashlib
import os
import tempfile
from pathlib import Path

from conformance.probe.vault import Vault

# What a run writes at its end, or without its footer before.
REPORTS = ("run.json", "junit.xml", "summary.md")


class Unwritable(Exception):
    """The run directory cannot take a file."""


class SecretInOutput(Exception):
    """A secret would have been written: the file is not, and the run is a harness error."""


class RunFolder:
    """Writes the files of one run and remembers their digests."""

    def __init__(self, root: Path, vault: Vault) -> None:
        self.root = root
        self.digests: dict[str, str] = {}
        self._vault = vault

    def prepare(self) -> None:
        """Makes the directory and proves that it takes files; raises Unwritable before anything is sent.

        What an earlier run left there is removed first: an old report beside a new run would be believed.
        """
        try:
            for stale in (*self.root.glob("transcripts/*.ndjson"), *(self.root / each for each in REPORTS)):
                stale.unlink(missing_ok=True)
            (self.root / "transcripts").mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as wrong:
            raise Unwritable(f"the run directory cannot be written: {wrong.strerror}") from wrong

    def write(self, name: str, data: bytes) -> None:
        """Writes a file atomically; raises SecretInOutput and Unwritable."""
        guard(data, self._vault, name)
        path = self.root / name
        try:
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as draft:
                draft.write(data)
                draft.flush()
                os.fsync(draft.fileno())
            Path(draft.name).replace(path)
        except OSError as wrong:
            raise Unwritable(f"{name} cannot be written: {wrong.strerror}") from wrong
        self.digests[name] = hashlib.sha256(data).hexdigest()


def guard(data: bytes, vault: Vault, where: str) -> None:
    """Raises SecretInOutput if a secret of the run, the planted one too, stands in `data`."""
    if found := vault.leaks(data):
        raise SecretInOutput(f"{where} would hold the secrets {', '.join(found)}")
