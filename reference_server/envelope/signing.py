"""Ed25519 over canonical bytes, libsodium called bare (ENV-7)."""

import binascii
import os
import re

from nacl import bindings
from nacl.exceptions import BadSignatureError

SEED_BYTES = bindings.crypto_sign_SEEDBYTES
PUBLIC_KEY_BYTES = bindings.crypto_sign_PUBLICKEYBYTES
SIGNATURE_BYTES = bindings.crypto_sign_BYTES

# ENV-7: 64 bytes are 85 characters, one that carries two bits (so its other four are zero), and padding.
_SIGNATURE_TEXT = re.compile(rb"[A-Za-z0-9+/]{85}[AQgw]==")
SIGNATURE_TEXT_LENGTH = 88


def new_seed() -> bytes:
    """The 32 random bytes that a key pair is made of."""
    return os.urandom(SEED_BYTES)


def key_pair(seed: bytes) -> tuple[bytes, bytes]:
    """The public key (32 bytes) and the signing key in libsodium's form (64 bytes) of a seed."""
    return bindings.crypto_sign_seed_keypair(seed)


def sign(canonical: bytes, signing_key: bytes) -> bytes:
    """The 64 bytes of the signature, by a signing key from key_pair."""
    return bindings.crypto_sign(canonical, signing_key)[:SIGNATURE_BYTES]


def verify(canonical: bytes, signature: bytes, public_key: bytes) -> bool:
    """Whether `signature` (64 bytes) is this key's over these bytes."""
    try:
        bindings.crypto_sign_open(signature + canonical, public_key)
    except BadSignatureError:
        return False
    return True


def encode(signature: bytes) -> bytes:
    """Standard base64 with padding, 88 characters."""
    return binascii.b2a_base64(signature, newline=False)


def decode(text: bytes) -> bytes:
    """The signature behind its one canonical base64 text. Raises ValueError for any other spelling."""
    if _SIGNATURE_TEXT.fullmatch(text) is None:
        raise ValueError("not 64 bytes in standard padded base64")
    return binascii.a2b_base64(text)
