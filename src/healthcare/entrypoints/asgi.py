"""The API as the HTTP server loads it."""

import os
import signal

from litestar import Litestar

from healthcare.adapters.embedded.server import end_with_parent
from healthcare.domain.zones import use_one_database
from healthcare.entrypoints import logging, settings
from healthcare.entrypoints.api.app import create_app
from healthcare.entrypoints.container import Container, opened
from healthcare.entrypoints.garbage import spare_what_stays


def create() -> Litestar:
    """Read the environment, wire the system, and leave it closed until the server starts the app."""
    # The server runs this in a child, which would go on answering on the same port if the server itself were killed.
    end_with_parent(signal.SIGTERM, os.getppid())()
    use_one_database()
    given = settings.read()
    logging.configure(given.log_level)
    container = Container(settings=given)
    app = create_app(
        use_cases=container.use_cases(),
        tokens=container.tokens(),
        clock=container.clock(),
        new_id=container.new_id(),
        checks={
            "postgresql": container.database().check,
            "cache": container.cache().check,
            "queue": container.bell().check,
        },
        measure=container.database().measure,
        lifespan=[lambda _: opened(container)],
    )
    if tracing := container.tracing():
        app.asgi_handler = tracing.requests(app.asgi_handler)
    spare_what_stays()
    return app
