"""Servers for all tests of a session: a regressor, a classifier with labels of text, and a language model."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from harness.shops import amounts, fit_and_save, moods, shop_rows
from serving import talkers

from delivery.serving.process.process import RunningServer, serving


@pytest.fixture(scope="session")
def test_rows() -> pd.DataFrame:
    return shop_rows(2000, seed=8)


@pytest.fixture(scope="session")
def regressor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = shop_rows(800)
    return fit_and_save(tmp_path_factory.mktemp("regressor") / "model", rows, amounts(rows))


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = shop_rows(800)
    return fit_and_save(tmp_path_factory.mktemp("classifier") / "model", rows, moods(rows))


@pytest.fixture(scope="session")
def amount_server(regressor: Path) -> Iterator[RunningServer]:
    with serving(regressor, "amount") as served:
        yield served


@pytest.fixture(scope="session")
def mood_server(classifier: Path) -> Iterator[RunningServer]:
    with serving(classifier, "mood") as served:
        yield served


@pytest.fixture(scope="session")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return talkers.make_talker(tmp_path_factory.mktemp("talker") / "model")


@pytest.fixture(scope="session")
def talker_server(talker: Path) -> Iterator[RunningServer]:
    with serving(talker, talkers.NAME, runtime="kserve-huggingfaceserver", protocol="openai") as served:
        yield served
