"""The whole system in one process and nothing else: verified fakes, for tests and experiments."""
