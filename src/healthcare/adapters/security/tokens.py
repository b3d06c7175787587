"""Access tokens: JWTs in the profile of RFC 9068, signed with Ed25519 and nothing else."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.utils import base64url_encode

from healthcare.adapters.security.keys import read_keys, thumbprint
from healthcare.domain.identity.errors import InvalidToken
from healthcare.domain.kernel import NewId, UserId

LIFETIME: Final = 900
"""Seconds."""
SKEW: Final = 30
"""Seconds by which the clocks of two of our machines may differ."""
ALGORITHM: Final = "EdDSA"
TYPE: Final = "at+jwt"
ISSUER: Final = "urn:healthcare"
AUDIENCE: Final = "urn:healthcare:api"
COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
"""RFC 7515 §3.1, without padding; libraries are known to take more than that."""
LONGEST: Final = 1024
"""Characters; ours have some 400."""
MOST_VERIFIED: Final = 10_000
"""Some 10 MB; the oldest make way."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says whose signature is good."""

    user: UserId
    issued_at: int
    expires_at: int
    """Seconds since 1970."""


class SignedTokens:
    """The first key signs; all of them verify, so that keys can be changed while tokens are in use."""

    lifetime: int = LIFETIME

    def __init__(self, keys: Sequence[Ed25519PrivateKey], *, new_id: NewId) -> None:
        """Take the keys, the newest first."""
        self._key = keys[0]
        header = {"alg": ALGORITHM, "kid": thumbprint(keys[0].public_key()), "typ": TYPE}
        self._header = base64url_encode(msgspec.json.encode(header))
        """Of every token, written once."""
        self._known = {thumbprint(key.public_key()): key.public_key() for key in keys}
        self._new_id = new_id
        self._verified: dict[str, Claims] = {}
        """What good tokens say, so that a signature is verified once; whether one has expired is asked each time."""

    @classmethod
    def from_file(cls, path: Path, new_id: NewId) -> Self:
        """Read the keys from a PEM file.

        Raises:
            KeysUnusable: there is no such file, or something else is in it.
        """
        return cls(read_keys(path), new_id=new_id)

    def issue(self, user: UserId, *, now: datetime) -> str:
        """Return a token for the user."""
        issued_at = int(now.timestamp())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user),
            "iat": issued_at,
            "exp": issued_at + LIFETIME,
            "jti": str(self._new_id()),
        }
        signed = b".".join([self._header, base64url_encode(msgspec.json.encode(claims))])
        return b".".join([signed, base64url_encode(self._key.sign(signed))]).decode()

    def read(self, token: str, *, now: datetime) -> UserId:
        """Return the user whom the token names; see `Tokens.read`."""
        if len(token) > LONGEST or not COMPACT.fullmatch(token):
            raise InvalidToken
        if (claims := self._verified.get(token)) is None:
            claims = self._claims(token)
            self._verified[token] = claims
            if len(self._verified) > MOST_VERIFIED:
                del self._verified[next(iter(self._verified))]
        if not claims.issued_at - SKEW <= now.timestamp() < claims.expires_at:
            raise InvalidToken
        return claims.user

    def _claims(self, token: str) -> "Claims":
        try:
            claims = self._decoded(token)
            user = UUID(claims["sub"])
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError):
            raise InvalidToken from None
        issued_at, expires_at = claims["iat"], claims["exp"]
        # `type`, because to Python true is a whole number.
        if type(issued_at) is not int or type(expires_at) is not int or expires_at - issued_at > LIFETIME:
            raise InvalidToken
        return Claims(UserId(user), issued_at, expires_at)

    def _decoded(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        # The header is the forger's to write: it may only choose among our keys, and say nothing we do not expect.
        if header.keys() != {"alg", "kid", "typ"} or header["typ"] != TYPE:
            raise InvalidToken
        if (key := self._known.get(header["kid"])) is None:
            raise InvalidToken
        return jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            issuer=ISSUER,
            audience=AUDIENCE,
            # Time is compared by the caller, with the clock that the rest of the system goes by.
            options={
                "require": ["iss", "aud", "sub", "iat", "exp", "jti"],
                "strict_aud": True,
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
