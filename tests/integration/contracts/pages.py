"""Going through a list page by page."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from healthcare.domain.kernel import Page, Paging

T = TypeVar("T")

MOST = 20


async def all_pages(fetch: Callable[[Paging], Awaitable[Page[T]]], *, limit: int) -> list[T]:
    """Return the items of all pages, each of which but the last must be full; fail if there is no end to them."""
    seen: list[T] = []
    paging = Paging(limit)
    for _ in range(MOST):
        page = await fetch(paging)
        seen += page.items
        if page.next is None:
            return seen
        assert len(page.items) == limit
        paging = Paging(limit, page.next)
    raise AssertionError("there is no end to the pages")
