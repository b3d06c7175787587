"""A backend for telemedicine appointments."""
