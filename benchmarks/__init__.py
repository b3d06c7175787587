"""How fast the system is, beside the limit of the same machine in the same run."""
