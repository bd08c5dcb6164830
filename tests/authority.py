"""A certificate authority to throw away, by the openssl of the machine."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

# An elliptic curve: keys are made at once.
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path

    @property
    def flags(self) -> list[object]:
        """For `serve`."""
        return ["--tls-certificate-file", self.certificate, "--tls-key-file", self.key]


@dataclass(frozen=True, kw_only=True)
class Authority:
    """Signs what its directory holds."""

    room: Path

    @property
    def certificate(self) -> Path:
        """What clients trust."""
        return self.room / "ca.pem"

    def issue(self, name: str, *, begins: str = "20200101000000Z", ends: str = "20491231000000Z") -> Pair:
        """A server's certificate for the loopback, in force between two instants."""
        asked, pair = self.room / f"{name}.csr", self._pair(name)
        _openssl("req", "-new", *_NEW_KEY, "-keyout", pair.key, "-out", asked, "-subj", f"/CN={name}")
        (self.room / "extensions").write_text(_NAMES)
        (self.room / "index").touch()
        (self.room / "ca.conf").write_text(
            f"[ca]\ndefault_ca=own\n[own]\ndatabase={self.room}/index\nnew_certs_dir={self.room}\n"
            "rand_serial=yes\ndefault_md=sha256\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n"
        )
        _openssl(
            *("ca", "-batch", "-config", self.room / "ca.conf", "-in", asked, "-out", pair.certificate),
            *("-cert", self.certificate, "-keyfile", self.room / "ca.key", "-notext"),
            *("-startdate", begins, "-enddate", ends, "-extfile", self.room / "extensions"),
        )
        return pair

    def _pair(self, name: str) -> Pair:
        return Pair(certificate=self.room / f"{name}.pem", key=self.room / f"{name}.key")


def made(room: Path) -> Authority:
    """A fresh authority with its files in `room`."""
    authority = Authority(room=room)
    _openssl(
        *("req", "-x509", *_NEW_KEY, "-keyout", room / "ca.key", "-out", authority.certificate),
        *("-subj", "/CN=thrown away", "-days", "3650"),
    )
    return authority


def _openssl(*arguments: object) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
