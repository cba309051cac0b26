"""The split: no row on both sides, no key that ever changes sides, no pinned row in train."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from preprocess.shop import BY_KEY, COLUMNS, Model, hours

from components.preprocess.rotate import rotate
from components.preprocess.table.split import hash_keys
from delivery.documents.data_card import DataCard
from training.errors import InputError
from training.folder import model_spec

MASK = 2**64 - 1


def mix(z: int) -> int:
    z = (z + 0x9E3779B97F4A7C15) & MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


def hash_by_the_book(key: str) -> int:
    """The formula of hash_keys' docstring, a key at a time."""
    data = key.encode()
    h = len(data)
    for start in range(0, len(data), 8):
        h = mix(h ^ int.from_bytes(data[start : start + 8], "little"))
    return h


KEYS = ["", "a", "12345678", "123456789", "\u65e5\u672c\u8a9e" * 9, "x" * 1000, "a\0", "-17"]


def test_the_hash_is_the_formula_it_states() -> None:
    series = pl.Series(KEYS)
    assert hash_keys(series).tolist() == [hash_by_the_book(key) for key in KEYS]
    assert hash_keys(series[3:6]).tolist() == [hash_by_the_book(key) for key in KEYS[3:6]]


def test_the_hash_of_a_key_is_this_number_for_ever() -> None:
    assert hash_keys(pl.Series(["customer-42"])).tolist() == [4688034705508176184]


def test_the_hash_is_the_same_in_another_process() -> None:
    code = (
        "import polars as pl; from components.preprocess.table.split import hash_keys as h; print(h(pl.Series(['k1'])))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(hash_keys(pl.Series(["k1"])))


@pytest.mark.parametrize("first", [0, 10**6, 10**12])
def test_consecutive_numbers_are_spread_evenly(first: int) -> None:
    keys = pl.Series(range(first, first + 20_000)).cast(pl.String)
    share = (hash_keys(keys) < 2**64 // 5).mean()
    assert share == pytest.approx(0.2, abs=0.01)


def ids(rows: pl.DataFrame) -> set[int]:
    return set(rows["id"])


@pytest.mark.parametrize("key", ["id", None])
def test_a_key_stays_on_its_side_when_data_is_added_and_reordered(model: Model, key: str | None) -> None:
    model.save(hours(1000, 500))
    model.run(split=BY_KEY, key=key)
    train, test = ids(model.train), ids(model.test)
    model.save(hours(3000).sample(fraction=1, shuffle=True, seed=1))
    model.run(split=BY_KEY, key=key)
    assert train <= ids(model.train)
    assert test <= ids(model.test)
    assert len(test) == pytest.approx(250, abs=60)


def test_a_larger_share_moves_keys_to_test_only(model: Model) -> None:
    model.save(hours(1000))
    model.run(split=BY_KEY)
    small = ids(model.test)
    model.run(split={"by": "key", "test": 0.5})
    assert small < ids(model.test)


@pytest.mark.parametrize("split", [BY_KEY, {"by": "time", "test": "3d", "embargo": "1d"}], ids=["key", "time"])
def test_no_row_is_on_both_sides(model: Model, split: dict) -> None:
    model.save(hours(1000))
    card = model.run(split=split)
    assert ids(model.train).isdisjoint(ids(model.test))
    assert card.train.rows + card.test.rows == 1000 - (24 if split["by"] == "time" else 0)


def test_rows_of_one_key_stay_together(model: Model) -> None:
    model.save(hours(1000).with_columns(id=pl.col("id") // 10))
    model.run(split=BY_KEY, columns={**COLUMNS, "id": {"type": "int"}})
    assert ids(model.train).isdisjoint(ids(model.test))


def test_an_embargo_leaves_its_length_between_train_and_test(model: Model) -> None:
    model.save(hours(500))
    model.run(split={"by": "time", "test": "2d", "embargo": "6h"})
    assert model.between() == timedelta(hours=7)
    assert model.test.height == 48


def test_unordered_rows_are_sorted_by_time_and_split_alike(model: Model) -> None:
    model.save(hours(1000))
    ordered = model.run()
    model.save(hours(1000).sample(fraction=1, shuffle=True, seed=3))
    assert model.run().fingerprint == ordered.fingerprint


@pytest.mark.parametrize("at_once", [100, 333])
def test_sorting_on_disk_gives_the_bytes_of_sorting_in_memory(model: Model, monkeypatch, at_once: int) -> None:
    from components.preprocess.table import order

    twice = pl.concat([hours(1000), hours(1000, 1000).with_columns(at=hours(1000)["at"])])
    model.save(twice.sample(fraction=1, shuffle=True, seed=3))
    in_memory = model.run()
    monkeypatch.setattr(order, "ROWS_AT_ONCE", at_once)
    assert model.run().fingerprint == in_memory.fingerprint
    assert model.train["at"].is_sorted()


def rotated(model: Model) -> dict:
    rotate(model.folder.parents[1], "shop")
    return pin_in_spec(model)


def pin_in_spec(model: Model) -> dict:
    testset = model_spec(model.folder.parents[1], "shop").data.testset
    assert testset is not None
    return testset.model_dump(mode="json")


def test_rotate_pins_the_test_side_and_trains_on_the_same_rows_as_before(model: Model) -> None:
    model.save(hours(500))
    before = model.run()
    spec = model.folder / "spec.yaml"
    text = spec.read_text()
    rotation = rotate(model.folder.parents[1], "shop")
    lines = spec.read_text().splitlines(keepends=True)
    added = [line for line in lines if line not in text.splitlines(keepends=True)]
    assert "".join(line for line in lines if line not in added) == text
    assert [line.split(":")[0].strip() for line in added] == ["testset", "sha256", "pinned_on"]
    assert (rotation.sha256, rotation.rows) == (before.test.sha256, 48)

    after = model.run(testset=pin_in_spec(model))
    assert after.pinned_test_set
    assert after.fingerprint == before.fingerprint


def test_a_pinned_test_set_stays_when_data_is_added_and_train_ends_before_it(model: Model) -> None:
    model.save(hours(500))
    pin = rotated(model)
    first = model.run(testset=pin)
    model.save(hours(900))
    second = model.run(testset=pin, split={"by": "time", "test": "2d", "embargo": "4h"})
    assert second.test == first.test
    assert model.between() == timedelta(hours=5)


def test_equal_rows_stay_together_without_a_key(model: Model) -> None:
    once = hours(500).with_columns(temp=pl.when(pl.col("id") % 5 > 0).then("temp"))
    model.save(pl.concat([once, once.with_columns(temp=pl.when(pl.col("temp") == 0).then(-0.0).otherwise("temp"))]))
    columns = {**COLUMNS, "id": {"type": "int"}}
    model.run(split=BY_KEY, key=None, columns=columns)
    assert model.test.height and ids(model.train).isdisjoint(ids(model.test))


@pytest.mark.parametrize("key", ["id", None])
def test_pinned_keys_are_not_trained_on_whatever_the_hash_says(model: Model, key: str | None) -> None:
    model.save(hours(500))
    model.run(split=BY_KEY, key=key)
    train, strays = ids(model.train), sorted(ids(model.train))[:20]
    file = model.save(hours(500).filter(pl.col("id").is_in(strays)).select(sorted(COLUMNS)), "testset.parquet")
    model.run(split=BY_KEY, key=key, testset=pin_of(file))
    assert ids(model.train) == train - set(strays)
    assert ids(model.test) == set(strays)


def pin_of(file, **changes) -> dict:
    from delivery.stores.sources import file_sha256

    return {"sha256": file_sha256(file), "pinned_on": datetime.now(UTC).date().isoformat(), **changes}


def test_a_second_rotation_replaces_only_the_two_values(model: Model) -> None:
    model.save(hours(500))
    rotated(model)
    spec = model.folder / "spec.yaml"
    spec.write_text(spec.read_text().replace('"\n', '"  # by hand\n') + "# kept\n")
    before = spec.read_text()
    model.save(hours(700))
    pin = rotated(model)
    old = before.split('sha256: "')[1][:64]
    assert spec.read_text() == before.replace(old, pin["sha256"])


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_rotate_keeps_line_ends_and_the_byte_order_mark(model: Model, newline: str) -> None:
    model.save(hours(500))
    spec = model.folder / "spec.yaml"
    text = "\ufeff" + spec.read_text().replace("\n", newline)
    spec.write_bytes(text.encode())
    rotated(model)
    after = spec.read_bytes().decode()
    assert after.count("\n") == after.count(newline)
    assert after.startswith(text[: text.index("data:")])


def test_a_spec_that_cannot_be_edited_safely_is_left_alone_with_the_lines_to_add(model: Model) -> None:
    model.save(hours(500))
    spec = model.folder / "spec.yaml"
    lines = spec.read_text().split("data:\n")
    flow = model.spec().canonical_json()
    spec.write_text(f"{lines[0]}data: {flow}\n")
    before = spec.read_bytes()
    with pytest.raises(InputError, match="set these under"):
        rotate(model.folder.parents[1], "shop")
    assert spec.read_bytes() == before
    assert not (model.folder / "testset.parquet").exists()


def violated(model: Model, kind: str) -> dict:
    model.save(hours(500))
    pin = rotated(model)
    if kind == "expired":
        return pin | {"pinned_on": (date.fromisoformat(pin["pinned_on"]) - timedelta(weeks=30)).isoformat()}
    path = model.folder / "testset.parquet"
    pl.read_parquet(path).head(40).write_parquet(path)
    return pin


@pytest.mark.parametrize(("kind", "words"), [("expired", "expired on"), ("other bytes", "has SHA-256")])
def test_a_violated_pin_is_an_error_or_a_warning_as_the_spec_says(model: Model, kind: str, words: str) -> None:
    pin = violated(model, kind)
    with pytest.raises(InputError, match=words) as caught:
        model.run(testset=pin)
    assert "ostinato testset rotate shop" in str(caught.value)
    card: DataCard = model.run(testset=pin | {"on_violation": "warn"})
    assert words in card.warnings[0]


def test_a_pin_has_not_expired_on_the_day_of_as_of(model: Model) -> None:
    pin = violated(model, "expired")
    assert model.run(testset=pin, as_of="2020-01-21").pinned_test_set


def test_a_pinned_file_that_is_gone_is_an_error_even_where_the_spec_warns(model: Model) -> None:
    model.save(hours(500))
    pin = rotated(model) | {"on_violation": "warn"}
    (model.folder / "testset.parquet").unlink()
    with pytest.raises(InputError, match=r"testset\.parquet does not exist"):
        model.run(testset=pin)


def test_a_pin_without_the_columns_of_today_asks_for_a_rotation(model: Model) -> None:
    model.save(hours(500))
    pin = rotated(model)
    model.hook('return rows.with_columns(lag=pl.col("count").shift(1))')
    with pytest.raises(InputError, match="'lag' as no column"):
        model.run(testset=pin)
