"""Connections, and how long they may take over what is no request yet, and no longer one."""

from asyncio import TimerHandle, Transport
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from healthcare.adapters.system import new_id
from healthcare.entrypoints.api.observed import complete
from healthcare.entrypoints.api.problems import written
from healthcare.entrypoints.api.refusals import Unreadable

HEADERS_WITHIN: Final = 3.0
"""Seconds; a client that sends its headers more slowly is cut off."""
MOST_BYTES_OF_HEADERS: Final = 64 * 1024
READ_WITHIN: Final = 30.0
"""Seconds; a client that reads an answer more slowly is cut off. What is written and not read waits in our memory."""
MOST_CONNECTIONS: Final = 8192
"""Each takes some 20 KB; whoever comes when there are as many is hung up on."""


class Impatient(HttpToolsProtocol):
    """Hangs up on who takes too long to send the headers of a request, sends too many, or does not read the answer.

    uvicorn itself would wait for ever, and keep all that comes.
    """

    _patience: TimerHandle | None = None
    """While headers are to come."""
    _unread: TimerHandle | None = None
    """While an answer, or much of it, is to be read."""
    _heard = 0
    """Bytes since the request began."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first request, as long as for its headers."""
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > MOST_CONNECTIONS:
            self._hang_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_longer()
        self.resume_writing()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Wait for the headers of this request."""
        super().on_message_begin()
        self._wait_no_longer()
        self._wait()

    def on_headers_complete(self) -> None:
        """Wait no longer: for the rest, whoever reads it has patience of their own."""
        self._wait_no_longer()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Take in what comes."""
        super().data_received(data)
        self._heard += len(data)
        if self._patience:
            if self._heard > MOST_BYTES_OF_HEADERS:
                self._hang_up()
        elif getattr(self.cycle, "response_complete", False) and not self.timeout_keep_alive_task:
            self._wait()  # for the rest of what is no request yet: empty lines may come before it (RFC 9112 §2.2)

    def pause_writing(self) -> None:
        """Wait until much of what was written has been read."""
        super().pause_writing()
        self._unread = self.loop.call_later(READ_WITHIN, self.transport.abort)

    def resume_writing(self) -> None:
        """Wait no longer."""
        super().resume_writing()
        if self._unread:
            self._unread.cancel()
            self._unread = None

    def timeout_keep_alive_handler(self) -> None:
        """Hang up, on who has not read the answer either."""
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn has words of its own
        """Refuse what is no HTTP, with a problem as everything is refused."""
        request_id = str(new_id())
        status, headers, body = written(Unreadable(), request_id)
        lines = [b": ".join(one) for one in complete(headers, request_id)]
        self.transport.write(
            b"\r\n".join([b"HTTP/1.1 %d Bad Request" % status, *lines, b"connection: close", b"", body])
        )
        self._hang_up()

    def _wait(self) -> None:
        self._heard = 0
        self._patience = self.loop.call_later(HEADERS_WITHIN, self._hang_up)

    def _wait_no_longer(self) -> None:
        if self._patience:
            self._patience.cancel()
            self._patience = None

    def _hang_up(self) -> None:
        self._wait_no_longer()
        self.transport.close()
