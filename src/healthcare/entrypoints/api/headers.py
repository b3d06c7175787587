"""Headers by which answers may be kept, or not."""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from litestar import Response
from litestar.datastructures import ResponseHeader

from healthcare.entrypoints.api.request import ApiRequest, values

TAG: Final = ResponseHeader("ETag", documentation_only=True, description="The version, for If-Match.")

PUBLIC: Final = {"Cache-Control": "public, no-cache"}
"""Anybody may keep it, and must ask whether it is still so before each use."""


def revalidated(request: ApiRequest[Any], body: bytes) -> Response[bytes | None]:
    """Send JSON, or say that the caller has it already (RFC 9110 §13.1.2)."""
    raw, tag = revalidation(body)
    headers = {name.decode(): value.decode() for name, value in raw}
    if known(tag, ",".join(values(request.scope, "If-None-Match"))):
        return Response(None, status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


@lru_cache(maxsize=64)
def revalidation(body: bytes) -> tuple[list[tuple[bytes, bytes]], str]:
    """Return the headers with which an answer goes out, and its tag. Python hashes the same bytes only once."""
    tag = f'"{urlsafe_b64encode(sha256(body).digest()[:18]).decode()}"'
    return raw(PUBLIC | {"ETag": tag}), tag


def known(tag: str, tags: str) -> bool:
    """Say whether If-None-Match names the tag."""
    return tags.strip() == "*" or tag in {one.strip().removeprefix("W/") for one in tags.split(",")}


def raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Write headers as ASGI has them."""
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def version_tag(version: int) -> str:
    """Return the entity-tag of this version of a thing."""
    return f'"{version}"'
