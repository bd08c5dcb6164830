"""The master key and what hangs on it: sealed seeds, and a key of its own for every other purpose (KEY-4).

Every key is derived: BLAKE2b of no message, keyed by the master key, personalised by the purpose
(RFC 7693 section 2.8), 32 bytes. So no key is used for two things, and none of them tells the master key.
"""

import hashlib
from collections import OrderedDict
from enum import Enum

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from reference_server.envelope import signing

MASTER_KEY_BYTES = 32

# A key is 64 bytes: the keys of this many Domains stay unsealed, the others cost some 20 µs each time.
_UNSEALED_KEYS = 1024


class Purpose(Enum):
    """What a derived key is for; the value is its BLAKE2b personalisation (16 bytes at most, for ever)."""

    SEAL = b"busproof seal"  # SecretBox around signing seeds
    CREDENTIALS = b"busproof nsk"  # keyed hash of NSKs (CRED-2)
    CURSORS = b"busproof cursor"  # HMAC of page cursors
    PSKS = b"busproof psk"  # wraps peer PSKs


class SealBroken(Exception):
    """Sealed bytes do not open: another master key sealed them, or they are damaged."""


class Keyring:
    """Seals and opens under one master key, and keeps a bounded number of signing keys open."""

    __slots__ = ("_box", "_master_key", "_unsealed")

    def __init__(self, master_key: bytes) -> None:
        """`master_key` is 32 bytes; ValueError otherwise."""
        if len(master_key) != MASTER_KEY_BYTES:
            raise ValueError("a master key has 32 bytes")
        self._master_key = master_key
        self._box = SecretBox(self.derived(Purpose.SEAL))
        self._unsealed: OrderedDict[str, bytes] = OrderedDict()

    def derived(self, purpose: Purpose) -> bytes:
        """The 32-byte key for a purpose."""
        return hashlib.blake2b(key=self._master_key, person=purpose.value, digest_size=32).digest()

    def seal(self, secret: bytes) -> bytes:
        """The secret, encrypted and authenticated, fit for the store."""
        return bytes(self._box.encrypt(secret))

    def unseal(self, sealed: bytes) -> bytes:
        """The secret behind sealed bytes. Raises SealBroken."""
        try:
            return self._box.decrypt(sealed)
        except (CryptoError, ValueError):
            raise SealBroken("sealed under another master key, or damaged") from None

    def signing_key(self, key_id: str, sealed_seed: bytes) -> bytes:
        """The signing key (signing.key_pair's second) of a sealed seed. Raises SealBroken."""
        key = self._unsealed.get(key_id)
        if key is None:
            key = signing.key_pair(self.unseal(sealed_seed))[1]
            self._unsealed[key_id] = key
            if len(self._unsealed) > _UNSEALED_KEYS:
                self._unsealed.popitem(last=False)
        return key

    def forget(self, key_id: str) -> None:
        """Drop an open signing key, because its private part is destroyed (KEY-3)."""
        self._unsealed.pop(key_id, None)
