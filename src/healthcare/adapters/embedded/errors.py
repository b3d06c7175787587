"""Why the servers could not be had."""


class ServersFailed(Exception):
    """The embedded servers could not be started."""


class FolderInUse(ServersFailed):
    """Another process already runs servers in this folder."""
