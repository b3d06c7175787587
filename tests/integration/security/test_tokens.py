"""Which access tokens are ours: those we issued, and no forged one."""

import json
import stat
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256, sha512
from hmac import digest
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from healthcare.adapters.security.keys import KeysUnusable, create_key, thumbprint
from healthcare.adapters.security.tokens import AUDIENCE, ISSUER, LIFETIME, SignedTokens
from healthcare.domain.identity.errors import InvalidToken
from healthcare.domain.kernel import UserId

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
AT = int(NOW.timestamp())
USER = UserId(UUID("7f0c0a4e-3d0c-4d0c-9c55-0d4f9a6f7a01"))
JTI = UUID("00000000-0000-4000-8000-000000000001")

KEY = Ed25519PrivateKey.generate()
OTHER_KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
PUBLIC_PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
JWK = {"kty": "OKP", "crv": "Ed25519", "x": urlsafe_b64encode(PUBLIC).rstrip(b"=").decode()}

HEADER = {"alg": "EdDSA", "typ": "at+jwt", "kid": thumbprint(KEY.public_key())}
CLAIMS = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": str(USER),
    "iat": AT,
    "exp": AT + LIFETIME,
    "jti": str(JTI),
}

Sign = Callable[[bytes], bytes]


def tokens(*keys: Ed25519PrivateKey) -> SignedTokens:
    return SignedTokens(keys or [KEY], new_id=lambda: JTI)


def part(value: object) -> bytes:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(raw).rstrip(b"=")


def forged(header: object = HEADER, claims: object = CLAIMS, sign: Sign = KEY.sign) -> str:
    signed = part(header) + b"." + part(claims)
    return (signed + b"." + part(sign(signed))).decode()


def without(members: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in members.items() if key != name}


def hmac(secret: bytes, hash_name: str = "sha256") -> Sign:
    return lambda signed: digest(secret, signed, hash_name)


def nothing(_signed: bytes) -> bytes:
    return b""


FORGERIES = {
    "alg none": forged({**HEADER, "alg": "none"}, sign=nothing),
    "alg None": forged({**HEADER, "alg": "None"}, sign=nothing),
    "alg NONE and a real signature": forged({**HEADER, "alg": "NONE"}),
    "no alg": forged(without(HEADER, "alg")),
    "alg of another case": forged({**HEADER, "alg": "eddsa"}),
    "alg null": forged({**HEADER, "alg": None}),
    "alg a list": forged({**HEADER, "alg": ["EdDSA"]}),
    "the curve as alg": forged({**HEADER, "alg": "Ed25519"}),
    "HS256 with the raw public key": forged({**HEADER, "alg": "HS256"}, sign=hmac(PUBLIC)),
    "HS256 with the public key in PEM": forged({**HEADER, "alg": "HS256"}, sign=hmac(PUBLIC_PEM)),
    "HS512 with the public key in PEM": forged({**HEADER, "alg": "HS512"}, sign=hmac(PUBLIC_PEM, "sha512")),
    "HS256 with an empty secret": forged({**HEADER, "alg": "HS256"}, sign=hmac(b"")),
    "EdDSA with an HMAC for a signature": forged(sign=hmac(PUBLIC, "sha512")),
    "signed by somebody else": forged(sign=OTHER_KEY.sign),
    "signed by somebody else, who says so": forged(
        {**HEADER, "kid": thumbprint(OTHER_KEY.public_key())}, sign=OTHER_KEY.sign
    ),
    "signature empty": forged(sign=nothing),
    "signature all zeros": forged(sign=lambda _: bytes(64)),
    "signature cut": forged(sign=lambda signed: KEY.sign(signed)[:-1]),
    "signature too long": forged(sign=lambda signed: KEY.sign(signed) + b"\0"),
    "signature of something else": forged(sign=lambda _: KEY.sign(b"something else")),
    "signature a digest": forged(sign=lambda signed: sha512(signed).digest()),
    "signed digest": forged(sign=lambda signed: KEY.sign(sha256(signed).digest())),
    "no kid": forged(without(HEADER, "kid")),
    "kid empty": forged({**HEADER, "kid": ""}),
    "kid null": forged({**HEADER, "kid": None}),
    "kid a number": forged({**HEADER, "kid": 1}),
    "kid a list": forged({**HEADER, "kid": [HEADER["kid"]]}),
    "kid a path": forged({**HEADER, "kid": "../../../dev/null"}),
    "kid a query": forged({**HEADER, "kid": "' OR 1=1 --"}),
    "jwk in the header": forged({**HEADER, "jwk": JWK}),
    "jwk of somebody else in the header": forged(
        {**HEADER, "jwk": {**JWK, "x": part(OTHER_KEY.public_key().public_bytes_raw()).decode()}}, sign=OTHER_KEY.sign
    ),
    "jku in the header": forged({**HEADER, "jku": "https://example.org/keys"}),
    "x5u in the header": forged({**HEADER, "x5u": "https://example.org/chain"}),
    "x5c in the header": forged({**HEADER, "x5c": ["AA=="]}),
    "crit in the header": forged({**HEADER, "crit": ["exp"]}),
    "crit in the header, unknown": forged({**HEADER, "crit": ["urn:example:x"], "urn:example:x": True}),
    "b64 in the header": forged({**HEADER, "b64": False, "crit": ["b64"]}),
    "zip in the header": forged({**HEADER, "zip": "DEF"}),
    "cty in the header": forged({**HEADER, "cty": "JWT"}),
    "typ JWT": forged({**HEADER, "typ": "JWT"}),
    "typ of an ID token": forged({**HEADER, "typ": "id+jwt"}),
    "no typ": forged(without(HEADER, "typ")),
    "typ null": forged({**HEADER, "typ": None}),
    "header a list": forged(["alg"]),
    "header no JSON": forged(b"{"),
    "header no UTF-8": forged(b"\xff"),
    "header deep": forged(b"[" * 700),
    "claims a list": forged(claims=[1]),
    "claims a string": forged(claims="sub"),
    "claims null": forged(claims=None),
    "claims no JSON": forged(claims=b"{"),
    "claims no UTF-8": forged(claims=b'{"sub":"\xff"}'),
    **{f"no {name}": forged(claims=without(CLAIMS, name)) for name in CLAIMS},
    **{f"{name} null": forged(claims={**CLAIMS, name: None}) for name in CLAIMS},
    "iss of somebody else": forged(claims={**CLAIMS, "iss": "https://example.org"}),
    "iss a list": forged(claims={**CLAIMS, "iss": [ISSUER]}),
    "aud of somebody else": forged(claims={**CLAIMS, "aud": "urn:example:api"}),
    "aud a list of ours and another": forged(claims={**CLAIMS, "aud": [AUDIENCE, "urn:example:api"]}),
    "aud empty": forged(claims={**CLAIMS, "aud": []}),
    "sub no UUID": forged(claims={**CLAIMS, "sub": "admin"}),
    "sub a number": forged(claims={**CLAIMS, "sub": 1}),
    "sub a list": forged(claims={**CLAIMS, "sub": [str(USER)]}),
    "jti a number": forged(claims={**CLAIMS, "jti": 1}),
    "expired": forged(claims={**CLAIMS, "iat": AT - LIFETIME, "exp": AT}),
    "expired long ago": forged(claims={**CLAIMS, "iat": 0, "exp": LIFETIME}),
    "exp a string": forged(claims={**CLAIMS, "exp": str(AT + 60)}),
    "exp a fraction": forged(claims={**CLAIMS, "exp": AT + 60.5}),
    "exp true": forged(claims={**CLAIMS, "exp": True}),
    "exp endless": forged(claims={**CLAIMS, "exp": float("inf")}),
    "exp huge": forged(claims={**CLAIMS, "exp": 10**300}),
    "exp later than we ever say": forged(claims={**CLAIMS, "exp": AT + LIFETIME + 1}),
    "exp negative": forged(claims={**CLAIMS, "exp": -1}),
    "iat to come": forged(claims={**CLAIMS, "iat": AT + 31, "exp": AT + LIFETIME}),
    "iat a string": forged(claims={**CLAIMS, "iat": str(AT)}),
    "iat nan": forged(claims={**CLAIMS, "iat": float("nan")}),
    "nothing": "",
    "one part": "token",
    "two parts": ".".join(forged().split(".")[:2]),
    "four parts": forged() + ".e30",
    "five parts, as if encrypted": forged() + ".e30.e30",
    "only dots": "..",
    "no base64": "!.!.!",
    "not ASCII": "é.é.é",
    "a lone surrogate": "\ud800.e30.e30",
    "NUL": "\0.\0.\0",
    "space before": " " + forged(),
    "a line end after": forged() + "\n",
    "very long": "a" * 100_000,
    "very long, with dots": "." * 100_000,
    "padded": forged() + "==",
    "as JSON": json.dumps({"payload": "e30", "signature": "e30"}),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_token_is_refused(name: str) -> None:
    with pytest.raises(InvalidToken):
        tokens().read(FORGERIES[name], now=NOW)


def test_a_token_that_is_made_as_the_forgeries_are_but_in_full_is_ours() -> None:
    """Otherwise the forgeries might be refused for a reason of no account."""
    assert tokens().read(forged(), now=NOW) == USER


def test_every_part_of_a_token_is_signed() -> None:
    header, claims, signature = forged().split(".")
    for altered in (
        (part({**HEADER, "note": 1}).decode(), claims, signature),
        (header, part({**CLAIMS, "sub": str(JTI)}).decode(), signature),
    ):
        with pytest.raises(InvalidToken):
            tokens().read(".".join(altered), now=NOW)


def test_a_token_names_its_user_for_15_minutes() -> None:
    token = tokens().issue(USER, now=NOW)

    assert tokens().lifetime == 900
    assert tokens().read(token, now=NOW) == USER
    assert tokens().read(token, now=NOW + timedelta(seconds=899)) == USER
    with pytest.raises(InvalidToken):
        tokens().read(token, now=NOW + timedelta(seconds=900))


def test_a_token_of_a_machine_whose_clock_is_a_little_ahead_is_read() -> None:
    token = tokens().issue(USER, now=NOW)

    assert tokens().read(token, now=NOW - timedelta(seconds=30)) == USER
    with pytest.raises(InvalidToken):
        tokens().read(token, now=NOW - timedelta(seconds=31))


def test_the_first_key_signs_and_all_verify() -> None:
    old, new = tokens(KEY), tokens(OTHER_KEY, KEY)

    assert new.read(old.issue(USER, now=NOW), now=NOW) == USER
    with pytest.raises(InvalidToken):
        old.read(new.issue(USER, now=NOW), now=NOW)


def test_keys_are_named_by_their_thumbprint() -> None:
    """The example of RFC 8037, appendix A.3."""
    key = Ed25519PublicKey.from_public_bytes(
        bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    )
    assert thumbprint(key) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_new_key_file_is_for_its_owner_only_and_never_replaces_one(tmp_path: Path) -> None:
    path = tmp_path / "keys.pem"
    create_key(path)
    pem = path.read_bytes()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        create_key(path)
    assert path.read_bytes() == pem


def test_a_file_holds_several_keys(tmp_path: Path) -> None:
    old, new, both = tmp_path / "old.pem", tmp_path / "new.pem", tmp_path / "both.pem"
    create_key(old)
    create_key(new)
    both.write_bytes(b"# the new one\n" + new.read_bytes() + b"# and the old one\n" + old.read_bytes())
    read = {path: SignedTokens.from_file(path, new_id=lambda: JTI) for path in (old, new, both)}

    assert read[both].read(read[old].issue(USER, now=NOW), now=NOW) == USER
    assert read[new].read(read[both].issue(USER, now=NOW), now=NOW) == USER


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeysUnusable, match=r"nowhere\.pem"):
        SignedTokens.from_file(tmp_path / "nowhere.pem", new_id=lambda: JTI)


ELLIPTIC = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
BROKEN = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize("content", [b"", b"secret", PUBLIC_PEM, ELLIPTIC, BROKEN])
def test_a_file_without_usable_keys_is_refused_and_not_quoted(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys.pem"
    path.write_bytes(content)

    with pytest.raises(KeysUnusable) as refusal:
        SignedTokens.from_file(path, new_id=lambda: JTI)
    assert "secret" not in str(refusal.value)
    assert "AAAA" not in str(refusal.value)
