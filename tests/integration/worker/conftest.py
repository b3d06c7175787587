"""A Valkey for the doorbell."""

from tests.integration.redis.conftest import client, logs, server, valkey_of_the_folder

__all__ = ["client", "logs", "server", "valkey_of_the_folder"]
