"""A client of the API as it should be: what a connection took with it is sent again."""

import httpx

from tests.integration.world import Api


def client_of(api: Api) -> httpx.AsyncClient:
    """Return a client of one API process."""
    return httpx.AsyncClient(base_url=api.url, timeout=10, transport=SendsAgain())


class SendsAgain(httpx.AsyncHTTPTransport):
    """Send a request once more if the server had let go of its connection (RFC 9112 §9.3.1), or waited in vain.

    The server does so after three seconds of silence, and a busy machine makes this process stand still for as long:
    between the look whether the connection is open and the request, or between the headers and the body
    (408, RFC 9110 §15.5.9).
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer to the first or the second sending."""
        try:
            response = await super().handle_async_request(request)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            return await super().handle_async_request(request)
        if response.status_code != httpx.codes.REQUEST_TIMEOUT:
            return response
        await response.aclose()
        return await super().handle_async_request(request)
