"""Where rows come from: a URI becomes a list of files with one format and one identity.

Local paths (files, directories, globs), `gs://`, `s3://`, `https://` and, for tables, `bigquery://project.dataset.table`.
Importing this module is cheap: nothing here needs Polars.
"""

import glob
import hashlib
import http.client
import importlib
import re
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from delivery.retry import TRANSIENT, RetryPolicy, retrying
from training.errors import InputError, OstinatoError
from training.spec import ConversationSpec, DataSpec

Format = Literal["csv", "parquet", "jsonl"]
Formats = dict[str, Format]
"""What can be read: the ending of a file, and what it says."""

TABLES: Formats = {".csv": "csv", ".parquet": "parquet"}
CONVERSATIONS: Formats = {".jsonl": "jsonl", ".parquet": "parquet"}
STORES = {"gs": "gcs", "s3": "s3"}
"""Schemes of object stores, and the extra of this package that each needs."""
LOGINS = {
    "gs": ("google.auth.exceptions", "GoogleAuthError", "run: gcloud auth application-default login"),
    "s3": ("botocore.exceptions", "BotoCoreError", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"),
}
"""Of each scheme the module and the class of its library's errors, and how one gets credentials."""
_HTTP = ("http", "https")
_TIMEOUT_S = 60


@dataclass(frozen=True)
class Source:
    """Files of one format, read in the order given; the row numbers in messages count through them."""

    uri: str
    scheme: str
    files: tuple[str, ...]
    format: Format

    def snapshot(self) -> str:
        """Identity of the content: see :func:`snapshot`."""
        if self.scheme == "file":
            return together([file_sha256(path) for path in self.files])
        return self.stamp()

    def stamp(self) -> str:
        """Changes when the content does, and is cheap: sizes and times of local files, the store's own tags."""
        if self.scheme == "file":
            stats = [Path(path).stat() for path in self.files]
            return " ".join(f"{stat.st_size}/{stat.st_mtime_ns}" for stat in stats)
        if self.scheme == "bigquery":
            from delivery.stores.bigquery import table_version

            return table_version(self.files[0])
        if self.scheme in _HTTP:
            return _http_tag(self.uri)
        with _asking(self.uri) as system:
            return together([_object_tag(system.info(path), path) for path in self.files])


def snapshot(uri: str, folder: Path, spec: DataSpec | ConversationSpec | None = None) -> str:
    """Identity of the content behind a URI, which takes the place of ``spec.source``; relative paths start at
    ``folder``, the model's folder.

    For one local file ``sha256:`` and the SHA-256 of its bytes, for several ``sha256:`` over the lines
    ``<hex digest>\\n`` of the files sorted by path. For remote files the store's generation, ETag or
    modification time; nothing is downloaded. For conversations with fixed questions ``sha256:`` over two such
    lines, of the source and of `data.test`. Raises InputError as :func:`resolve` does.
    """
    return together([source.snapshot() for source in resolve_all(uri, folder, spec)])


def resolve_all(uri: str, folder: Path, spec: DataSpec | ConversationSpec | None) -> tuple[Source, ...]:
    """The source, from ``uri`` in the place of ``spec.source``, and after it that of the fixed questions, if any."""
    if not isinstance(spec, ConversationSpec):
        return (resolve(uri, folder),)
    return tuple(resolve(source, folder, CONVERSATIONS) for source in (uri, spec.test) if source is not None)


def resolve(uri: str, folder: Path, formats: Formats = TABLES) -> Source:
    """Find the files behind a URI; relative paths start at ``folder``.

    Raises InputError if there is none, if they are of mixed or unknown formats, or if the extra that the
    scheme needs is not installed.
    """
    scheme = urlsplit(uri).scheme
    if scheme == "bigquery" and formats is TABLES:
        return Source(uri, scheme, (uri.removeprefix("bigquery://"),), "parquet")
    if scheme in _HTTP:
        return Source(uri, scheme, (uri,), _format(uri, [urlsplit(uri).path], formats))
    if scheme in STORES:
        files = _remote_files(uri, formats)
        return Source(uri, scheme, tuple(files), _format(uri, files, formats))
    if scheme not in ("", "file"):
        known = "gs://, s3://, https:// or bigquery://" if formats is TABLES else "gs://, s3:// or https://"
        raise InputError(f"data source {uri!r}: unknown scheme; use a path, {known}")
    path = local_path(uri, folder)
    files = _local_files(path, formats)
    return Source(str(path), "file", tuple(files), _format(str(path), files, formats))


def local_path(uri: str, folder: Path) -> Path:
    """The local path that a URI without a scheme, or with ``file://``, names."""
    return folder / (urlsplit(uri).path if uri.startswith("file://") else uri)


def is_local(uri: str) -> bool:
    return urlsplit(uri).scheme in ("", "file")


def fetch(uri: str, folder: Path, target: Path) -> None:
    """Copy one file from a local path, `gs://`, `s3://` or `https://` to ``target``, by chunks."""
    if is_local(uri):
        path = local_path(uri, folder)
        if not path.is_file():
            raise InputError(f"{path} does not exist")
        shutil.copyfile(path, target)
    elif urlsplit(uri).scheme in _HTTP:
        with _open_http(uri) as answer, target.open("wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
    else:
        with _asking(uri) as system:
            system.get_file(uri, str(target))


def store(file: Path, uri: str, folder: Path) -> None:
    """Put a local file at a local path (atomically), `gs://` or `s3://`."""
    if not is_local(uri):
        if urlsplit(uri).scheme in _HTTP:
            raise InputError(f"{uri} cannot be written; use a path, gs:// or s3://")
        with _asking(uri) as system:
            system.put_file(str(file), uri)
        return
    path = local_path(uri, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    shutil.copyfile(file, beside)
    beside.replace(path)


def _local_files(path: Path, formats: Formats) -> list[str]:
    if path.is_file():
        return [str(path)]
    if path.is_dir():
        files = (file for file in path.rglob("*") if _is_data(file.relative_to(path), formats))
        matches = sorted(str(file) for file in files if file.is_file())
        if not matches:
            raise InputError(f"the directory {path} holds no {' or '.join(formats)} file")
        return matches
    if glob.has_magic(str(path)):
        matches = sorted(file for file in glob.glob(str(path), recursive=True) if Path(file).is_file())
        if not matches:
            raise InputError(f"no file matches {path}")
        return matches
    raise InputError(f"{path} does not exist; set data.source in spec.yaml, or give --data")


def _remote_files(uri: str, formats: Formats) -> list[str]:
    """Full URIs of the objects behind a `gs://` or `s3://` URI: an object, a prefix or a glob."""
    with _asking(uri) as system:
        if glob.has_magic(uri):
            matches = system.glob(uri)
        elif system.isfile(uri):
            matches = [uri]
        else:
            matches = [path for path in system.find(uri) if _is_data(Path(path), formats)]
        if not matches:
            raise InputError(f"there is no file at {uri}")
        return sorted(system.unstrip_protocol(path) for path in matches)


def _is_data(path: Path, formats: Formats) -> bool:
    return path.suffix in formats and not any(part.startswith((".", "_")) for part in path.parts)


def _format(uri: str, files: list[str], formats: Formats) -> Format:
    suffixes = sorted({Path(file).suffix for file in files})
    unknown = [suffix for suffix in suffixes if suffix not in formats]
    known = " and ".join(formats)
    if unknown:
        raise InputError(f"{uri}: a file ends with {unknown[0] or 'no suffix'!r}; {known} can be read")
    if len(suffixes) > 1:
        raise InputError(f"{uri} holds {known} files; name one kind, such as {uri.rstrip('/')}/*.parquet")
    return formats[suffixes[0]]


@contextmanager
def _asking(uri: str) -> Iterator[Any]:
    """The store's file system; what it raises becomes one sentence about the URI."""
    import fsspec

    scheme = urlsplit(uri).scheme
    if scheme not in STORES:
        raise InputError(f"{uri}: unknown scheme; use a path, gs://, s3:// or https://")
    try:
        yield fsspec.filesystem(scheme)
    except ImportError as error:
        extra = STORES[scheme]
        raise InputError(f"{uri} needs the extra {extra!r}: pip install 'ostinato[{extra}]'") from error
    except FileNotFoundError as error:
        raise InputError(f"there is no file at {uri}") from error
    except OSError as error:
        raise OstinatoError(f"{uri} cannot be reached: {error}") from error
    except _library_errors(scheme) as error:
        if re.search("Credential|Token|Refresh|Profile", type(error).__name__):
            raise InputError(f"{uri} can't be read without credentials: {error}; {LOGINS[scheme][2]}") from error
        raise OstinatoError(f"{uri} cannot be reached: {error}") from error


def _library_errors(scheme: str) -> tuple[type[Exception], ...]:
    """What the store's own library raises, and its file system lets through."""
    module, name, _ = LOGINS[scheme]
    try:
        return (getattr(importlib.import_module(module), name),)
    except ImportError:
        return ()


def _object_tag(info: dict[str, Any], path: str) -> str:
    for name in ("generation", "VersionId", "ETag", "etag"):
        if info.get(name):
            return f"{name.lower()}:{str(info[name]).strip(chr(34))}"
    raise InputError(f"{path}: the store tells neither generation nor ETag, so a change could not be noticed")


def _is_transient(outcome: object) -> bool:
    if isinstance(outcome, urllib.error.HTTPError):
        return outcome.code in TRANSIENT
    return isinstance(outcome, urllib.error.URLError) and not isinstance(outcome.reason, ssl.SSLError)


def _open_http(uri: str) -> http.client.HTTPResponse:
    try:
        return retrying(RetryPolicy(), _is_transient)(urllib.request.urlopen, uri, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        raise InputError(f"{uri} cannot be read: HTTP {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise OstinatoError(f"{uri} cannot be reached: {error.reason}") from error


def _http_tag(uri: str) -> str:
    """By GET and not HEAD: signed URLs allow one method. The body is not read."""
    with _open_http(uri) as answer:
        for name in ("ETag", "Last-Modified"):
            if value := answer.headers.get(name):
                return f"{name.lower()}:{value.strip(chr(34))}"
    raise InputError(
        f"{uri}: the server sends neither ETag nor Last-Modified, so a change could not be noticed; "
        "download the file and name the local path"
    )


def file_sha256(path: str | Path) -> str:
    """Hex SHA-256 of a local file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def together(tags: Sequence[str]) -> str:
    """One tag is itself, a plain digest gets its prefix; several are hashed, a line each."""
    if len(tags) > 1:
        return "sha256:" + hashlib.sha256("".join(f"{tag}\n" for tag in tags).encode()).hexdigest()
    return tags[0] if ":" in tags[0] else f"sha256:{tags[0]}"
