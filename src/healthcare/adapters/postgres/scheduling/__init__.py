"""Slots, appointments and what is asked of them, in PostgreSQL."""
