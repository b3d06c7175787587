"""The file that holds the keys by which access tokens are signed."""

import os
import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

BLOCK: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.+?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)


class KeysUnusable(Exception):
    """The file with the signing keys is missing or holds something else."""


def read_keys(path: Path) -> list[Ed25519PrivateKey]:
    """Return the keys in the order in which they stand in the file.

    Raises:
        KeysUnusable: says what is wrong with the file, and nothing of what is in it.
    """
    try:
        blocks = BLOCK.findall(path.read_bytes())
    except OSError as error:
        raise KeysUnusable(f"the signing keys cannot be read: {error}") from None
    if not blocks:
        raise KeysUnusable(f"{path} holds no private key in PEM")
    return [_read_key(block, path) for block in blocks]


def _read_key(block: bytes, path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(block, password=None)
    except (ValueError, TypeError):
        raise KeysUnusable(f"{path} holds a private key that cannot be read") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeysUnusable(f"{path} holds a private key that is not Ed25519")
    return key


def create_key(path: Path) -> None:
    """Make a key and write it into a new file that only its owner can read.

    Raises:
        FileExistsError: the file exists, and every token in use may be signed with what is in it.
    """
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)


def thumbprint(key: Ed25519PublicKey) -> str:
    """Return the key's name in tokens (RFC 7638, with the members of RFC 8037 §2)."""
    x = _base64url(key.public_bytes(Encoding.Raw, PublicFormat.Raw))
    return _base64url(sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest())


def _base64url(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()
