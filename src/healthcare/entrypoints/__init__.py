"""The drivers, and the one place that knows every object."""
