"""Real PostgreSQL and Valkey servers from wheels, in a folder of their own, for the demo and the tests.

One guard process owns the servers, so that nothing is left running however the owner ends.
Linux and macOS; on macOS the servers outlive a guard that was killed with SIGKILL.
"""
