"""The HTTP API. Handlers see use cases, never adapters nor the container."""
