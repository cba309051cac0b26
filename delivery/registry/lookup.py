"""Reading the model registry without importing MLflow, which takes longer than a run in which nothing changed.

``registry(tracking_uri)`` reads a server over its REST API and a SQLite store with SQL; MLflow's own client
reads what is left, such as ``postgresql://``.
"""

from urllib.parse import urlsplit

from delivery.registry.versions import Registry
from training.errors import InputError


def registry(tracking_uri: str) -> Registry:
    """The reader for a tracking URI. Raises InputError if it is not one."""
    scheme = urlsplit(tracking_uri).scheme.split("+")[0]
    if scheme in ("http", "https"):
        from delivery.registry.rest import RestRegistry

        return RestRegistry(tracking_uri)
    if scheme == "sqlite":
        from delivery.registry.sqlite import SqliteRegistry

        return SqliteRegistry(tracking_uri)
    if not scheme or scheme == "file":
        raise InputError(
            f"tracking URI {tracking_uri!r} is a folder, which MLflow 3 no longer keeps a registry in; "
            "use sqlite:///<absolute path>, http(s):// or a database URI"
        )
    from delivery.registry.client import ClientRegistry

    return ClientRegistry(tracking_uri)
