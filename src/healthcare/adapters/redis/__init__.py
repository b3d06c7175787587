"""Redis: answers to searches, shared between processes; it may forget anything at any time."""
