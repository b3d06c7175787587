"""/openapi.json, and /docs: a page to read and to try the API on. It loads nothing from anywhere else."""

from importlib.resources import files
from typing import Final

from litestar import Controller, Response, get
from litestar.params import FromPath

from healthcare.domain.kernel import NotFound
from healthcare.entrypoints.api.headers import revalidated
from healthcare.entrypoints.api.request import ApiRequest
from healthcare.entrypoints.api.shape import NoQuery

PAGE: Final = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>healthcare</title>
<link rel="icon" type="image/svg+xml" href="/docs/icon.svg">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
START: Final = b"""SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  // Otherwise the document is sent to somebody else's server for a badge.
  validatorUrl: null,
});
"""
ICON: Final = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">
<rect width="16" height="16" rx="3" fill="#0a7d62"/><path d="M8 3v10M3 8h10" stroke="#fff" stroke-width="3"/>
</svg>
"""
VENDORED: Final = files("litestar_offline_docs") / "static"
FILES: Final = {
    "start.js": ("text/javascript", START),
    "icon.svg": ("image/svg+xml", ICON),
    "swagger-ui.css": ("text/css", (VENDORED / "swagger-ui.css").read_bytes()),
    "swagger-ui-bundle.js": ("text/javascript", (VENDORED / "swagger-ui-bundle.js").read_bytes()),
}
ONLY_FROM_HERE: Final = {
    # The second lock: even if the page asked for something elsewhere, the browser would not fetch it.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


class DocsController(Controller):
    """What the API says of itself."""

    include_in_schema = False

    @get("/openapi.json", open=True)
    async def document(self, request: ApiRequest[NoQuery]) -> Response[bytes | None]:
        """Return the description of the API."""
        return revalidated(request, request.app.state.openapi)

    @get("/docs", open=True)
    async def page(self) -> Response[bytes]:
        """Return the page."""
        return Response(PAGE, media_type="text/html", headers=ONLY_FROM_HERE | {"Cache-Control": "public, no-cache"})

    @get("/docs/{name:str}", open=True)
    async def file(self, name: FromPath[str]) -> Response[bytes]:
        """Return a file that the page needs."""
        if name not in FILES:
            raise NotFound
        media_type, content = FILES[name]
        return Response(content, media_type=media_type, headers={"Cache-Control": "public, max-age=3600"})
