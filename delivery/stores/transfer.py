"""A step's folders that live elsewhere: fetched before it runs, put back after."""

from pathlib import Path

from delivery.stores.fetch import download_folder
from training.errors import InputError, OstinatoError

LAST = "MLmodel"
"""Written after everything else: who finds it finds a whole model folder."""


def fetched(uri: str, target: Path) -> Path:
    """The folder itself if it is on this machine, else a copy of it at ``target``.

    Raises InputError if there is none, OstinatoError for a store that can't be read.
    """
    if "://" not in uri:
        if not Path(uri).is_dir():
            raise InputError(f"{uri} is no folder on this machine; name the folder that preprocess wrote")
        return Path(uri)
    target.mkdir(parents=True)
    try:
        download_folder(uri, target)
    except FileNotFoundError as error:
        raise InputError(f"there is nothing at {uri}; name the folder that preprocess wrote") from error
    except (ImportError, OSError, ValueError) as error:
        raise OstinatoError(f"{uri} can't be read: {error}") from error
    return target


def upload_folder(folder: Path, uri: str) -> None:
    """Copy all files of a folder to a path or an fsspec URI, in place of files of the same names.

    Raises OstinatoError for a store that can't be written.
    """
    try:
        from fsspec.core import url_to_fs

        store, path = url_to_fs(uri)
        files = sorted((file for file in folder.rglob("*") if file.is_file()), key=lambda file: file.name == LAST)
        for file in files:
            remote = f"{path.rstrip('/')}/{file.relative_to(folder).as_posix()}"
            store.makedirs(remote.rpartition("/")[0], exist_ok=True)
            store.put_file(str(file), remote)
    except (ImportError, OSError, ValueError) as error:
        raise OstinatoError(f"{uri} can't be written: {error}") from error
