"""A bell that nobody hears."""


class SilentBell:
    """Counts how often it was rung: where everything runs in one process, there is no worker to wake."""

    def __init__(self) -> None:
        """Begin at 0."""
        self.rung = 0

    def ring(self) -> None:
        """Say that there is something to do."""
        self.rung += 1

    async def open(self) -> None:
        """There is nothing to connect to."""

    async def close(self) -> None:
        """There is nothing to close."""
