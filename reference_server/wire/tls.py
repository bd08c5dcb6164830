"""TLS by files, for deployments without a terminator; plain connections never come through here.

A secured socket is a socket: everything that reads and writes connections takes it as it is.
"""

import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import trio

from reference_server.settings import Settings, SettingsRefused

# One TLS record (RFC 8446 section 5.1): what is sent in one piece and, where the window is full, again.
_RECORD = 16 * 1024

# Both sides of a handshake with oneself are through after two turns; more than this means that it hangs.
_TURNS = 10

# X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED, openssl/x509_vfy.h.
_OUT_OF_TIME = {9: "is not valid yet", 10: "has expired"}


class NoHandshake(Exception):
    """The peer left, or speaks no TLS that we take."""


class SecureSocket(ssl.SSLSocket):
    """A non-blocking socket whose bytes are encrypted; `ssl` makes it, so it must be a subclass."""

    def send(self, data: Any, flags: int = 0) -> int:
        """As of a plain socket: how many bytes were taken. Raises BlockingIOError where none were."""
        left, sent = memoryview(data), 0
        try:
            while sent < len(left):
                sent += super().send(left[sent : sent + _RECORD], flags)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            if not sent:
                raise BlockingIOError from None
        return sent

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """As of a plain socket. Raises BlockingIOError where nothing is there."""
        try:
            return super().recv(buflen, flags)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            raise BlockingIOError from None

    def shutdown(self, how: int) -> None:
        """Say that no more will come, in TLS first, so that nobody takes a cut for an end."""
        self._say_goodbye()
        socket.socket.shutdown(self, how)  # ssl's own would give up reading, too

    def close(self) -> None:
        """As of a plain socket."""
        if self.fileno() >= 0:
            self._say_goodbye()
        super().close()

    def _say_goodbye(self) -> None:
        with suppress(OSError, ValueError):  # it waits for nobody's answer
            self.unwrap()


def context_of(settings: Settings) -> ssl.SSLContext | None:
    """What secures connections; None where they are plain.

    Raises SettingsRefused with one line where the files cannot be used: unreadable, something else, not of
    each other, or out of time.
    """
    certificate, key = settings.tls_certificate_file, settings.tls_key_file
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise SettingsRefused("--tls-certificate-file and --tls-key-file come together")
    for path in (certificate, key):
        _check_readable(path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.sslsocket_class = SecureSocket
    trusting = _trusting(certificate)
    _load(context, certificate, key)
    _shake_own_hand(context, trusting, certificate)
    return context


def _check_readable(path: str) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as trouble:
        raise SettingsRefused(f"{path}: cannot be read: {trouble.strerror}") from None


def _trusting(certificate: str) -> ssl.SSLContext:
    """A client that trusts this certificate alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(certificate)
    except ssl.SSLError:
        raise SettingsRefused(f"{certificate}: is no certificate in PEM") from None
    return context


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    def no_password() -> str:
        raise SettingsRefused(f"{key}: is encrypted; the server needs the plain key")

    try:
        context.load_cert_chain(certificate, key, password=no_password)
    except ssl.SSLError as failure:
        if failure.reason == "KEY_VALUES_MISMATCH":
            raise SettingsRefused(f"{key}: is not the key of the certificate in {certificate}") from None
        if failure.reason is not None and failure.reason.startswith(("EE_", "CA_")):
            raise SettingsRefused(f"{certificate}: is too weak ({failure.reason})") from None
        raise SettingsRefused(f"{key}: is no private key in PEM that can be used") from None


def _shake_own_hand(server: ssl.SSLContext, client: ssl.SSLContext, certificate: str) -> None:
    """One handshake in memory: what every client would refuse is refused here."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)]
    try:
        for _ in range(_TURNS):
            for side in sides:
                with suppress(ssl.SSLWantReadError):
                    side.do_handshake()
    except ssl.SSLCertVerificationError as failure:
        why = _OUT_OF_TIME.get(failure.verify_code, f"will be refused: {failure.verify_message}")
        raise SettingsRefused(f"{certificate}: {why}") from None
    except ssl.SSLError as failure:
        raise SettingsRefused(f"{certificate}: cannot be used: {failure.reason}") from None


async def secured(sock: socket.socket, context: ssl.SSLContext) -> socket.socket:
    """The connection, once the peer has shaken hands; `sock` itself is spent. Raises NoHandshake."""
    try:
        wire = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    except (OSError, ValueError):
        sock.close()
        raise NoHandshake from None
    try:
        while (wait := _next_wait(wire)) is not None:
            await wait(wire)
    except OSError:
        wire.close()
        raise NoHandshake from None
    except BaseException:
        wire.close()
        raise
    return wire


def _next_wait(wire: ssl.SSLSocket) -> Callable[[ssl.SSLSocket], Awaitable[None]] | None:
    """Go on with the handshake as far as it goes; what it waits for, None once it is over."""
    try:
        wire.do_handshake()
    except ssl.SSLWantReadError:
        return trio.lowlevel.wait_readable
    except ssl.SSLWantWriteError:
        return trio.lowlevel.wait_writable
    return None
