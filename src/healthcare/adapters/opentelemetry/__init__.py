"""Traces, by OpenTelemetry. Nothing of this is imported unless they are switched on."""
