"""An MLflow model folder: saved with bytes that depend on its content only, digested, loaded without running code.

MLflow writes a random id and the time into ``MLmodel``, and skops names its members by memory addresses, so that
the same estimator saved twice gives different bytes. Both are made canonical here; then the folder's digest is the
identity of the model, and a step that is killed and run again ends with the very same model.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.errors import InputError, OstinatoError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

WEIGHTS_FILE = "model.skops"
CHUNK = 1 << 20
"""Bytes that are held at once."""
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def model_digest(folder: Path) -> str:
    """``sha256:`` over every file of the folder: relative name, size and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
    return "sha256:" + digest.hexdigest()


def save_model(
    estimator: Any, folder: Path, rows: "pd.DataFrame", trusted: Sequence[str], facts: Mapping[str, Any]
) -> None:
    """Save a fitted scikit-learn estimator with signature, input example and pinned requirements.

    rows: the inputs that it was fitted on, (n, inputs). trusted: types that skops may construct besides its own
    list. facts: written under ``metadata.ostinato`` of ``MLmodel``. Raises InputError if the estimator needs a type
    that is not trusted, or can't be saved by skops.
    """
    from mlflow.models import infer_signature
    from mlflow.sklearn import save_model as save_sklearn
    from threadpoolctl import threadpool_limits

    check_trusted(estimator, trusted)
    example = rows.dropna().tail(3)
    with threadpool_limits(1):  # a few rows: starting threads for each tree takes longer than predicting
        answers = estimator.predict(rows.head(5))
    save_sklearn(
        estimator,
        folder,
        signature=infer_signature(with_every_gap(rows), answers),
        input_example=example if len(example) else None,  # pyright: ignore[reportArgumentType]
        pip_requirements=pinned_requirements(),
        serialization_format="skops",
        skops_trusted_types=sorted(trusted),
        metadata={"ostinato": dict(facts)},
    )
    _canonical_weights(folder / WEIGHTS_FILE)
    canonical_mlmodel(folder / "MLmodel")
    _canonical_environment(folder)


def with_every_gap(rows: "pd.DataFrame") -> "pd.DataFrame":
    """A few rows in which a value is missing wherever one is in any row.

    MLflow looks at every value in Python to tell which columns are required: a second for a million of them.
    """
    import pandas as pd

    gaps = rows.columns[rows.isna().any()]
    missing = [rows[name].isna().to_numpy().argmax() for name in gaps]
    return pd.concat([rows.head(5), rows.iloc[sorted(set(missing))]])


def check_trusted(estimator: Any, trusted: Sequence[str]) -> None:
    """Raises InputError that lists the types missing from ``training.trusted_types``."""
    import skops.io
    from skops.io.exceptions import UnsupportedTypeException

    try:
        data = skops.io.dumps(estimator)
    except (UnsupportedTypeException, TypeError, AttributeError) as error:
        raise InputError(
            f"train() returned {type(estimator).__name__}, which skops can't save ({error}); "
            "return a fitted scikit-learn estimator without own functions or lambdas inside"
        ) from error
    missing = sorted(set(skops.io.get_untrusted_types(data=data)) - set(trusted))
    if missing:
        lines = "\n".join(f"    - {name}" for name in missing)
        raise InputError(
            "the weights need types that training.trusted_types does not list. Loading a model constructs them; "
            f"if you trust them, write into spec.yaml:\n  training:\n    trusted_types:\n{lines}"
        )


def pinned_requirements() -> list[str]:
    """What the model needs to be loaded, at the versions that trained it."""
    from importlib.metadata import version

    names = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops")
    return [f"{name}=={version(name)}" for name in names]


def _canonical_weights(path: Path) -> None:
    """Rewrite a skops archive with members and ids numbered in the order of its schema, and no times.

    Format: https://skops.readthedocs.io/en/stable/persistence.html (a zip of arrays and one ``schema.json``).
    """
    with zipfile.ZipFile(path) as archive:
        schema = json.loads(archive.read("schema.json"))
        members = {name: archive.read(name) for name in archive.namelist() if name != "schema.json"}
    ids: dict[int, int] = {}
    files: dict[str, str] = {}

    def renumber(node: Any) -> None:
        if isinstance(node, list):
            for item in node:
                renumber(item)
        elif isinstance(node, dict):
            if isinstance(node.get("__id__"), int):
                node["__id__"] = ids.setdefault(node["__id__"], len(ids) + 1)
            if node.get("file") in members:
                suffix = Path(node["file"]).suffix
                node["file"] = files.setdefault(node["file"], f"{len(files) + 1:06d}{suffix}")
            for item in node.values():
                renumber(item)

    renumber(schema)
    assert files.keys() == members.keys(), "every member of a skops archive is named by its schema"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for old, new in files.items():
            archive.writestr(zipfile.ZipInfo(new, _ZIP_EPOCH), members[old], zipfile.ZIP_DEFLATED, 1)
        text = json.dumps(schema, separators=(",", ":"))
        archive.writestr(zipfile.ZipInfo("schema.json", _ZIP_EPOCH), text, zipfile.ZIP_DEFLATED, 1)


def canonical_mlmodel(path: Path) -> None:
    """Drop the random id and the time from ``MLmodel``; MLflow reads it without them."""
    import yaml

    described = yaml.safe_load(path.read_text())
    for volatile in ("model_uuid", "utc_time_created", "model_size_bytes"):
        described.pop(volatile, None)
    path.write_text(yaml.safe_dump(described, sort_keys=True))


def _canonical_environment(folder: Path) -> None:
    """Drop the versions of the tools that build an environment: they decide nothing about the model."""
    import yaml

    python_env, conda = folder / "python_env.yaml", folder / "conda.yaml"
    described = yaml.safe_load(python_env.read_text())
    described["build_dependencies"] = ["pip", "setuptools", "wheel"]
    python_env.write_text(yaml.safe_dump(described, sort_keys=True))
    described = yaml.safe_load(conda.read_text())
    described["dependencies"] = [
        "pip" if isinstance(entry, str) and entry.startswith("pip") else entry for entry in described["dependencies"]
    ]
    conda.write_text(yaml.safe_dump(described, sort_keys=True))


class Predictor:
    """A loaded model: the signature's inputs and the estimator's predictions."""

    def __init__(self, estimator: Any, inputs: list[str], facts: dict[str, Any]) -> None:
        self._estimator = estimator
        self.inputs = inputs
        """Names of the columns that it needs, in order."""
        self.facts = facts
        """What training wrote about itself: data_fingerprint, rows, train_time_to."""

    @property
    def classes(self) -> "np.ndarray | None":
        """Class labels (classes,) in the order of the probabilities; None for a regressor."""
        return getattr(self._estimator, "classes_", None)

    @property
    def gives_probabilities(self) -> bool:
        return hasattr(self._estimator, "predict_proba")

    def predict(self, rows: "pd.DataFrame") -> "np.ndarray":
        """Float64 (n,) for a regressor, class labels (n,) for a classifier."""
        import numpy as np

        answers = np.asarray(self._estimator.predict(self._select(rows)))
        return answers if self.classes is not None else answers.astype(np.float64)

    def predict_proba(self, rows: "pd.DataFrame") -> "np.ndarray | None":
        """Probabilities (n, classes) float64; None where the estimator has none."""
        if not self.gives_probabilities:
            return None
        return self._estimator.predict_proba(self._select(rows))

    def _select(self, rows: "pd.DataFrame") -> "pd.DataFrame":
        missing = [name for name in self.inputs if name not in rows.columns]
        if missing:
            raise OstinatoError(f"the rows lack the column(s) {missing} that the model needs; they have {list(rows)}")
        return rows if list(rows.columns) == self.inputs else rows.loc[:, self.inputs]


def load_model(folder: Path) -> Predictor:
    """Load a model folder. Only skops weights are read, so loading runs none of the folder's code.

    Raises OstinatoError that names the folder and the reason.
    """
    import skops.io
    import yaml
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        described = yaml.safe_load((folder / "MLmodel").read_text())
        flavor = described["flavors"]["sklearn"]
        if flavor["serialization_format"] != "skops":
            raise OstinatoError(
                f"{folder}: weights are {flavor['serialization_format']}, which may run code; need skops"
            )
        inputs = [column["name"] for column in json.loads(described["signature"]["inputs"])]
        estimator = skops.io.load(folder / flavor["pickled_model"], trusted=flavor["skops_trusted_types"])
    except FileNotFoundError as error:
        raise OstinatoError(f"{folder} is no complete model folder: {error.filename} is missing") from error
    except UntrustedTypesFoundException as error:
        raise OstinatoError(f"{folder} does not load: its weights need types that it does not list: {error}") from error
    except (KeyError, TypeError, yaml.YAMLError) as error:
        raise OstinatoError(
            f"{folder}/MLmodel does not describe a scikit-learn model with a signature: {error!r}"
        ) from error
    except (zipfile.BadZipFile, zlib.error, json.JSONDecodeError, EOFError, RuntimeError) as error:
        raise OstinatoError(f"{folder}: the weights are damaged: {error}") from error
    except (ImportError, AttributeError, ValueError) as error:
        raise OstinatoError(f"{folder} does not load in this environment: {type(error).__name__}: {error}") from error
    return Predictor(estimator, inputs, (described.get("metadata") or {}).get("ostinato", {}))
