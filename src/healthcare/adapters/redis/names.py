"""What things are called in Redis. The names are digests, so that no text of a user is in them."""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from msgspec.json import encode

from healthcare.domain.scheduling.search import Search, Touched


@dataclass(frozen=True, slots=True)
class Names:
    """Where the answer to a search is kept, and the tokens that must not have changed since it was made."""

    answer: str
    tokens: tuple[str, ...]


@lru_cache(maxsize=1024)
def names(search: Search) -> Names:
    """Return the names of a search."""
    paging = search.paging
    after = (paging.after.at, paging.after.id) if paging.after else None
    asked = (search.specialty, search.zone, search.day, paging.limit, after)
    return Names(f"healthcare:answer:{digest(asked)}", tuple(token_name(one) for one in search.touched))


def token_name(touched: Touched) -> str:
    """Return the name of the token of a part of all searches."""
    return f"healthcare:token:{digest((touched.specialty, touched.day))}"


def digest(parts: tuple[object, ...]) -> str:
    """Return 32 hexadecimal digits that tell the parts from all others."""
    return blake2b(encode(parts), digest_size=16).hexdigest()
