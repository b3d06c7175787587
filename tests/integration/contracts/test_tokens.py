"""What every adapter of `Tokens` does."""

from datetime import timedelta
from pathlib import Path

import pytest

from healthcare.adapters.security.keys import create_key
from healthcare.adapters.security.tokens import SignedTokens
from healthcare.adapters.system import new_id
from healthcare.domain.identity.errors import InvalidToken
from healthcare.domain.identity.ports import Tokens
from tests.builders import NOW, FakeTokens, a_user_id

PORT = Tokens

SECOND = timedelta(seconds=1)


def issuer(kind: str, folder: Path) -> Tokens:
    """Return one that shares no secret with any other."""
    if kind == "fake":
        return FakeTokens()
    create_key(folder / "key.pem")
    return SignedTokens.from_file(folder / "key.pem", new_id=new_id)


@pytest.fixture(params=["fake", "signed"])
def tokens(request: pytest.FixtureRequest, tmp_path: Path) -> Tokens:
    return issuer(request.param, tmp_path)


def test_a_token_names_its_user(tokens: Tokens) -> None:
    ada, bob = a_user_id(), a_user_id()
    of_ada, of_bob = tokens.issue(ada, now=NOW), tokens.issue(bob, now=NOW)

    assert tokens.read(of_ada, now=NOW) == ada
    assert tokens.read(of_bob, now=NOW) == bob


def test_a_token_is_good_for_its_lifetime(tokens: Tokens) -> None:
    user, lifetime = a_user_id(), timedelta(seconds=tokens.lifetime)
    token = tokens.issue(user, now=NOW)

    assert tokens.read(token, now=NOW + lifetime - SECOND) == user
    with pytest.raises(InvalidToken):
        tokens.read(token, now=NOW + lifetime)


@pytest.mark.parametrize("token", ["", " ", "token", "a.b.c", "é", "\x00", "x" * 100_000])
def test_what_is_no_token_is_refused(tokens: Tokens, token: str) -> None:
    with pytest.raises(InvalidToken):
        tokens.read(token, now=NOW)


def test_a_token_to_which_something_was_done_is_refused(tokens: Tokens) -> None:
    token = tokens.issue(a_user_id(), now=NOW)

    for changed in (token[:-1], token + "=", token + " ", token.swapcase(), token[1:], token * 2):
        with pytest.raises(InvalidToken):
            tokens.read(changed, now=NOW)


@pytest.mark.parametrize("kind", ["signed"])
def test_a_token_of_somebody_else_is_refused(tokens: Tokens, kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "of somebody else"
    folder.mkdir()
    theirs = issuer(kind, folder).issue(a_user_id(), now=NOW)

    with pytest.raises(InvalidToken):
        tokens.read(theirs, now=NOW)
