"""The pool of connections."""

from collections import deque

from psycopg_pool import AsyncConnectionPool

from healthcare.adapters.postgres.connection import ListeningConnection


class Pool(AsyncConnectionPool[ListeningConnection]):
    """Psycopg's pool, which forgets whoever no longer waits.

    By itself it does so only once it has a connection to hand out. Without a server it would keep all who have ever
    asked; as soon as these were `max_waiting` it would refuse everybody, and it connects anew only for one who waits.
    """

    @property
    def waiting(self) -> int:
        """How many wait for a connection."""
        return len(self._waiting)

    async def getconn(self, timeout: float | None = None) -> ListeningConnection:  # noqa: ASYNC109 - psycopg's
        """Return a connection; see psycopg."""
        try:
            return await super().getconn(timeout)
        except BaseException:
            self._waiting = deque(one for one in self._waiting if one.error is None)
            raise
