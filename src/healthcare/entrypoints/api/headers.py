"""Headers by which answers may be kept, or not."""

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any, Final

from litestar import Response
from litestar.datastructures import ResponseHeader

from healthcare.entrypoints.api.request import ApiRequest

TAG: Final = ResponseHeader("ETag", documentation_only=True, description="The version, for If-Match.")

PUBLIC: Final = {"Cache-Control": "public, no-cache"}
"""Anybody may keep it, and must ask whether it is still so before each use."""


def revalidated(request: ApiRequest[Any], body: bytes) -> Response[bytes | None]:
    """Send JSON, or say that the caller has it already (RFC 9110 §13.1.2)."""
    tag = f'"{urlsafe_b64encode(sha256(body).digest()[:18]).decode()}"'
    headers = {**PUBLIC, "ETag": tag}
    known = ",".join(request.headers.getall("If-None-Match", []))
    if known.strip() == "*" or tag in {one.strip().removeprefix("W/") for one in known.split(",")}:
        return Response(None, status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def version_tag(version: int) -> str:
    """Return the entity-tag of this version of a thing."""
    return f'"{version}"'
