"""Where things are: from the environment, else the workspace's pyproject.toml, else everything under `.ostinato/`."""

import os
from collections.abc import Mapping, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, Field, ValidationError, create_model
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    PyprojectTomlConfigSettingsSource,
    SettingsConfigDict,
)

from delivery.connections import Connections
from delivery.forges.choose import check_forge
from delivery.git.author import AUTHOR, check_author
from delivery.git.repository import ensure_local_repository
from delivery.stores.storage_uri import check_destination
from delivery.trust.keys import VERIFY_KEY
from pipelines.backends.row import BackendSettings
from pipelines.backends.table import BACKENDS
from pipelines.settings.sections import EventsSettings, NotifySettings
from training.errors import InputError, did_you_mean

DEFAULT_IMAGE = "ostinato"


class Settings(BaseSettings):
    """Each field is `OSTINATO_<FIELD>` in the environment, or a key of `[tool.ostinato]`; one of a section is
    `OSTINATO_<SECTION>__<FIELD>`, or a key of `[tool.ostinato.<section>]`. No field holds a secret."""

    model_config = SettingsConfigDict(
        env_prefix="OSTINATO_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        pyproject_toml_table_header=("tool", "ostinato"),
    )

    tracking_uri: str = Field(
        "", validation_alias=AliasChoices("OSTINATO_TRACKING_URI", "MLFLOW_TRACKING_URI", "tracking_uri")
    )
    """MLflow tracking URI; `MLFLOW_TRACKING_URI` is read too. Default: SQLite under `.ostinato/`."""
    manifests_remote: str = ""
    """Git URL or path of the manifests repository. Default: a bare repository under `.ostinato/`."""
    artifacts_destination: str = ""
    """Where an MLflow server that hands out artifacts itself keeps them, as its `--artifacts-destination` says."""
    forge: str = ""
    """Where pull requests are opened: `github`, `gitlab`, `gitea` (Forgejo too), each also with `=ADDRESS`, or `none`.
    Default: what the host of the manifests remote says."""
    git_author: str = ""
    """Who commits to the manifests repository, `Name <email>`. git's own `GIT_AUTHOR_NAME` and so on go before it."""
    verify_key: str = Field("", validation_alias=AliasChoices(VERIFY_KEY, "verify_key"))
    """Public key (PEM) that signatures must be of, from the workspace's root. Default: none, nothing need be signed."""
    image: str = DEFAULT_IMAGE
    """Container image of the steps in a compiled package; pin it by digest for a cluster."""
    prices: str = ""
    """File of prices for `ostinato estimate`, from the workspace's root, besides those that Google publishes."""
    events_url: str = ""
    """Where `ostinato events serve` is, for a drift watch on a backend to ask for a training."""
    notify: NotifySettings = NotifySettings()
    events: EventsSettings = EventsSettings()

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], **sources: PydanticBaseSettingsSource
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return sources["init_settings"], sources["env_settings"], PyprojectTomlConfigSettingsSource(settings_cls)

    def of_backend(self, name: str) -> BackendSettings:
        """The section of that backend."""
        return getattr(self, name)


def settings_model() -> type[Settings]:
    """The settings with a section for each backend."""
    sections: dict[str, Any] = {name: (row.settings, row.settings()) for name, row in BACKENDS.items()}
    return create_model("Settings", __base__=Settings, **sections)


class Workspace:
    """The settings of one workspace with the embedded defaults filled in."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root = root
        self.settings = settings
        self.home = root / ".ostinato"
        self.runs = self.home / "runs"
        self.cache = self.home / "cache"
        self.packages = self.home / "packages"
        self.image = settings.image
        self.local_manifests = self.home / "manifests.git"
        self.database = self.home / "mlflow.db"
        check_forge(settings.forge)
        self.git_author = check_author(settings.git_author)
        self.connections = Connections(
            settings.tracking_uri or f"sqlite:///{self.database}",
            settings.manifests_remote or str(self.local_manifests),
            check_destination(settings.artifacts_destination),
            settings.forge,
        )

    @property
    def embedded_registry(self) -> bool:
        return self.connections.tracking_uri == f"sqlite:///{self.database}"

    @property
    def embedded_manifests(self) -> bool:
        return self.connections.manifests_remote == str(self.local_manifests)

    def connect(self) -> Connections:
        """The connections; the embedded manifests repository is made first where it is the one that is used."""
        if self.embedded_manifests:
            ensure_local_repository(self.local_manifests, self.root / "manifests")
        return self.connections


def load_workspace(root: Path, given: Mapping[str, Any] | None = None) -> Workspace:
    """Read the settings of a workspace; those ``given`` go before. Raises InputError for an unknown key or a wrong
    value.

    The author of commits goes into the environment, where every process that commits finds it.
    """
    try:
        with chdir(root):  # pydantic-settings looks for pyproject.toml from the current folder
            settings = settings_model()(**(given or {}))  # pyright: ignore[reportCallIssue]
    except ValidationError as error:
        raise InputError("\n".join(_explain(problem) for problem in error.errors())) from error
    workspace = Workspace(root, settings)
    # The steps, which run in other processes, read the environment.
    if workspace.git_author:
        os.environ[AUTHOR] = workspace.git_author
    if settings.verify_key:
        os.environ[VERIFY_KEY] = str(root / settings.verify_key)
    return workspace


def _explain(problem: Any) -> str:
    field = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        *section, key = map(str, problem["loc"])
        where = ".".join(["tool.ostinato", *section])
        hint = did_you_mean(key, fields_of(section))
        if section:  # may come from a variable
            return f"setting {field}, in [{where}] of pyproject.toml or in a variable: unknown key {key!r}. {hint}"
        return f"[{where}] of pyproject.toml: unknown key {key!r}. {hint}"
    return f"setting {field}: {problem['msg']} (got {problem['input']!r})"


def fields_of(section: Sequence[str]) -> list[str]:
    """Names that may stand in a section of the settings; none where it holds names of the user's own."""
    model: Any = settings_model()
    for name in section:
        model = model.model_fields[name].annotation
        if not hasattr(model, "model_fields"):
            return []
    return list(model.model_fields)
