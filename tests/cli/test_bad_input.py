"""Every kind of bad input: one clear message on stderr, the right exit code, registry and repository as before."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.command_line import Finished

MODEL = "demand-forecaster"
Run = Callable[..., Finished]


def spec_of(workspace: Path) -> Path:
    return workspace / "training" / "demand_forecaster" / "spec.yaml"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def csv_of(workspace: Path, change: Callable[[list[str]], list[str]]) -> str:
    """A CSV of the first 3,000 hours with its lines changed."""
    import polars as pl

    rows = pl.read_parquet(workspace / "training/demand_forecaster/data/hourly.parquet").head(3000)
    path = workspace / "rows.csv"
    path.write_text("\n".join(change(rows.write_csv(datetime_format="%Y-%m-%d %H:%M:%S").splitlines())) + "\n")
    return str(path)


def field(line: str, index: int, value: str) -> str:
    parts = line.split(",")
    parts[index] = value
    return ",".join(parts)


def every_row(index: int, value: str) -> Callable[[list[str]], list[str]]:
    return lambda lines: [lines[0], *(field(line, index, value) for line in lines[1:])]


def in_future(line: str) -> str:
    return "3" + line[1:]


DATA = {
    "missing file": (None, "does not exist"),
    "empty file": (lambda lines: [], "empty"),
    "header only": (lambda lines: lines[:1], "no rows"),
    "wrong delimiter": (lambda lines: [line.replace(",", ";") for line in lines], "semicolon"),
    "missing column": (lambda lines: [line.rsplit(",", 1)[0] for line in lines], "pn"),
    "renamed column": (lambda lines: [lines[0].replace("count", "counts"), *lines[1:]], "Did you mean"),
    "empty target": (every_row(1, ""), "count"),
    "text in a number": (every_row(2, "warm"), "warm"),
    "future timestamps": (lambda lines: [*lines[:2000], *map(in_future, lines[2000:])], "future"),
    "duplicate keys": (every_row(0, "2011-01-01 00:00:00"), "ts"),
    "all rows refused": (every_row(1, "-5"), "count"),
}


@pytest.mark.parametrize("kind", DATA)
def test_bad_data_stops_the_run_before_anything_is_made(workspace: Path, ostinato: Run, kind: str) -> None:
    change, said = DATA[kind]
    data = csv_of(workspace, change) if change else str(workspace / "no.csv")
    done = ostinato("run", MODEL, "--data", data, expect=2)
    assert said.lower() in done.err.lower()
    assert_nothing_released(workspace, done)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "demand-forcaster"], "Did you mean 'demand-forecaster'"),
        (["run", "../demand"], "is not allowed"),
        (["run", "a model"], "is not allowed"),
        (["run", "$(touch x)"], "is not allowed"),
        (["run", "name: yaml"], "is not allowed"),
        (["run", MODEL, "--until", "trian"], "Did you mean 'train'"),
        (["run", MODEL, "--param", "as_of"], "is not name=value"),
        (["run", MODEL, "--param", "as_off=2018-01-01"], "Did you mean 'as_of'"),
        (["run", MODEL, "--param", "as_of=yesterday"], "yesterday"),
        (["run", MODEL, "--param", "as_of=1999-01-01"], "1999-01-01"),
        (["run", MODEL, "--param", "learning_rate=fast"], "learning_rate"),
        (["run", MODEL, "--param", "max_iter=0"], "max_iter"),
        (["run", MODEL, "--release", "by-mail"], "by-mail"),
        (["run", MODEL, "--resume", "no-such-run"], "nothing has run"),
        (["promote", MODEL], "no candidate"),
        (["promote", MODEL, "--version", "7"], "7"),
        (["rollback", MODEL], "not live"),
        (["new", "Bad Name", "--task", "regression"], "is not allowed"),
        (["new", MODEL, "--task", "regression"], "exists already"),
        (["new", "fresh", "--task", "regresion"], "Did you mean 'regression'"),
        (["new", "fresh", "--task", "regression", "--data", "none.csv", "--target", "y"], "does not exist"),
        (["report"], "nothing has run"),
        (["compile", MODEL, "-o", "no/such/folder/x.yaml"], "does not exist"),
        (["runn"], "No such command"),
        (["run"], "Missing argument"),
    ],
)
def test_a_wrong_argument_is_named_with_the_fix(
    workspace: Path, ostinato: Run, arguments: list[str], said: str
) -> None:
    done = ostinato(*arguments, expect=2)
    assert said in done.err
    assert_nothing_released(workspace, done)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("task: regression", "taks: regression", "taks: unknown key. Did you mean 'task'?"),
        ("test: 8w", "test: eight weeks", "'eight weeks' is not a duration"),
        ("metric: mae", "metric: maee", "Did you mean 'mae'"),
        ("name: demand-forecaster", "name: other", "name is 'other'"),
        ("data:", "data: [", "is not YAML"),
    ],
)
def test_a_wrong_spec_is_refused_by_run_and_by_validate(
    workspace: Path, ostinato: Run, old: str, new: str, said: str
) -> None:
    edit(spec_of(workspace), old, new)
    assert said in ostinato("validate", MODEL, expect=2).err
    done = ostinato("run", MODEL, expect=2)
    assert said in done.err
    assert_nothing_released(workspace, done)


def test_a_model_that_raises_is_told_with_its_file_and_line(workspace: Path, ostinato: Run) -> None:
    model = workspace / "training/demand_forecaster/model.py"
    edit(model, "    from sklearn.ensemble", "    raise RuntimeError('no luck')\n    from sklearn.ensemble")
    done = ostinato("run", MODEL, "--param", "as_of=2011-06-01", expect=1)
    assert "model.py:" in done.err and "RuntimeError: no luck" in done.err
    assert_nothing_released(workspace, done)


NAN_MODEL = """

def train(rows, target, hyperparameters, seed):
    from sklearn.linear_model import LinearRegression

    fitted = LinearRegression().fit(rows.fillna(0), target)
    fitted.coef_ = fitted.coef_ * float("nan")
    return fitted
"""


def test_predictions_that_are_not_numbers_never_pass(workspace: Path, ostinato: Run) -> None:
    model = workspace / "training/demand_forecaster/model.py"
    model.write_text(model.read_text() + NAN_MODEL)
    done = ostinato("run", MODEL, "--param", "as_of=2011-06-01", expect=1)
    assert "nan" in done.err.lower()
    assert_nothing_released(workspace, done)


def test_one_class_only_is_refused(workspace: Path, ostinato: Run) -> None:
    rows = "\n".join(f"{i},{i * 2.0},yes" for i in range(400))
    (workspace / "answers.csv").write_text(f"id,x,answer\n{rows}\n")
    options = ("--data", "answers.csv", "--target", "answer", "--key", "id")
    ostinato("new", "answers", "--task", "classification", *options, expect=0)
    done = ostinato("run", "answers", expect=2)
    assert "one class only" in done.err
    assert_nothing_released(workspace, done)


def test_a_registry_that_is_down_is_named_and_nothing_is_committed(workspace: Path, ostinato: Run) -> None:
    down = "http://127.0.0.1:9"
    done = ostinato("run", MODEL, "--param", "as_of=2011-12-01", expect=1, OSTINATO_TRACKING_URI=down)
    assert down in done.err
    assert not commits(workspace, "models/")


@pytest.mark.parametrize("kind", ["missing", "a plain folder"])
def test_a_manifests_remote_that_is_no_repository_is_named(workspace: Path, ostinato: Run, kind: str) -> None:
    remote = workspace / "not-a-repository"
    if kind != "missing":
        remote.mkdir()
    done = ostinato("run", MODEL, "--param", "as_of=2011-06-01", OSTINATO_MANIFESTS_REMOTE=str(remote))
    assert done.code in (1, 2)
    assert str(remote) in done.err
    assert not (workspace / ".ostinato" / "mlflow.db").exists()


def test_a_key_of_the_project_file_that_does_not_exist_is_named(workspace: Path, ostinato: Run) -> None:
    (workspace / "pyproject.toml").write_text('[tool.ostinato]\ntraking_uri = "sqlite:///x.db"\n')
    assert "Did you mean 'tracking_uri'" in ostinato("status", expect=2).err


def test_outside_a_workspace_the_message_says_where_to_go(tmp_path: Path, ostinato: Run) -> None:
    done = ostinato("status", expect=2, OSTINATO_WORKSPACE=str(tmp_path))
    assert "no training/ folder" in done.err


def test_debug_shows_the_traceback_and_the_same_exit_code(ostinato: Run) -> None:
    done = ostinato("run", "nobody", "--debug", expect=2)
    assert "Traceback" in done.err
    assert "Traceback" not in ostinato("run", "nobody", expect=2).err


def commits(workspace: Path, path: str) -> list[str]:
    """Commits of the embedded manifests repository that touch a path."""
    repository = workspace / ".ostinato" / "manifests.git"
    if not repository.exists():
        return []
    command = ["git", "--git-dir", str(repository), "log", "--format=%H", "main", "--", path]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def assert_nothing_released(workspace: Path, done: Finished) -> None:
    assert not done.out.startswith("Traceback") and "Traceback" not in done.err
    assert done.err.count("error: ") + done.err.count("refused: ") == 1
    assert not commits(workspace, "models/demand-forecaster")
    assert not (workspace / ".ostinato" / "mlflow.db").exists()
    assert not list((workspace / "training").glob(".new-*"))
