"""YAML 1.1 reads some words without quotes as something else than a text; where a text is wanted, the error says so."""

import pytest

from training.errors import InputError
from training.spec import Column, parse_spec

SPEC = """\
name: late-flights
task: classification
description: Late arrivals.
owner: {owner}
data:
  source: data.csv
  columns:
    id: {{type: int}}
    {column}: {{type: int, max: {largest}}}
    country: {{type: string, allowed: [SE, {country}]}}
    late: {{type: bool, allowed: [{answers}]}}
  target: late
  key: id
  max_gap: {gap}
  split: {{by: key, test: 0.2}}
quality: {{metric: f1, checks: [{{kind: absolute, metric: f1, min: 0.5}}, {{kind: slice, column: {column}, metric: f1, min: 0}}]}}
serving:
  kserve: {kserve}
  image_pull_secrets: [{secret}]
  secret_env: {{TOKEN: {{secret: token, key: {key}}}}}
  node_selector: {{zone: {zone}}}
"""  # noqa: E501
WORDS = {
    "owner": "ann",
    "column": "hour",
    "largest": "23",
    "country": "FI",
    "answers": "true, false",
    "gap": "null",
    "kserve": '"0.21"',
    "secret": "registry",
    "key": "k",
    "zone": "a",
}


def refusal(**words: str) -> str:
    """What is expected of a spec in which these words stand."""
    with pytest.raises(InputError) as caught:
        parse_spec(SPEC.format(**WORDS | words), "spec.yaml")
    return str(caught.value)


def test_the_words_of_the_table_are_a_good_spec() -> None:
    assert parse_spec(SPEC.format(**WORDS), "spec.yaml").data.columns["country"].allowed == ("SE", "FI")


@pytest.mark.parametrize(("place", "word", "expected"), [
    ("country", "NO", "data.columns.country.allowed.1: a text is wanted, and YAML reads NO as the truth value false"),
    ("country", "0127", "data.columns.country.allowed.1: a text is wanted"),
    ("country", "1.50", "reads 1.50 as the number 1.5"),
    ("country", "~", "reads ~ as nothing"),
    ("country", "2026-01-01", "reads 2026-01-01 as the date 2026-01-01"),
    ("column", "on", "data.columns: a text is wanted, and YAML reads on as the truth value true"),
    ("column", "2026", "data.columns: a text is wanted, and YAML reads 2026 as the number 2026"),
    ("column", "null", "data.columns: a text is wanted, and YAML reads null as nothing"),
    ("column", "off", "quality.checks.1.column: a text is wanted, and YAML reads off as the truth value false"),
    ("owner", "2026-01-01", "owner: a text is wanted, and YAML reads 2026-01-01 as the date"),
    ("kserve", "0.20", "serving.kserve: a text is wanted, and YAML reads 0.20 as the number 0.2"),
    ("secret", "1.0e+3", "serving.image_pull_secrets.0: a text is wanted"),
    ("key", "012", "serving.secret_env.TOKEN.key: a text is wanted, and YAML reads 012 as the number 10"),
    ("zone", "yes", "serving.node_selector.zone: a text is wanted, and YAML reads yes as the truth value true"),
])  # fmt: skip
def test_a_word_that_is_no_text_is_named_with_its_field_and_the_quotes_that_mend_it(
    place: str, word: str, expected: str
) -> None:
    message = refusal(**{place: word})
    assert expected in message
    assert f'quote it: "{word}"' in message
    assert "1 wrong field(s)" in message or place == "column"


def test_quotes_mend_it() -> None:
    spec = parse_spec(SPEC.format(**WORDS | {"country": '"NO"', "column": '"on"'}), "spec.yaml")
    assert spec.data.columns["country"].allowed == ("SE", "NO")
    assert "on" in spec.data.columns


def test_where_nothing_is_written_quotes_are_not_the_mend() -> None:
    assert "owner: a text is wanted, and nothing is written; write one, or leave the field out" in refusal(owner="")


def test_a_list_where_a_text_is_wanted_is_shown_as_it_is() -> None:
    assert "owner: Input should be a valid string (got ['a'])" in refusal(owner="[a]")


@pytest.mark.parametrize(("word", "number"), [("010", "8"), ("1:30", "90"), ("-012", "-10")])
def test_a_number_that_other_readers_take_for_another_one_is_refused(word: str, number: str) -> None:
    assert f"data.columns.hour.max: {word} is the number {number} for YAML 1.1" in refusal(largest=word)


@pytest.mark.parametrize("word", ["0", "10", "-1", "0.5", "1_000", "0x10"])
def test_a_number_that_all_readers_agree_on_or_that_is_marked_is_taken(word: str) -> None:
    assert parse_spec(SPEC.format(**WORDS | {"largest": word}), "spec.yaml")


def test_a_duration_without_its_unit_is_told_the_unit_and_not_the_quotes() -> None:
    assert "8 is not a duration; write a positive whole number and m, h, d or w" in refusal(gap="8").replace("'", "")


def test_a_truth_value_is_for_columns_of_truth_values() -> None:
    parse_spec(SPEC.format(**WORDS | {"answers": "on"}), "spec.yaml")
    with pytest.raises(ValueError, match=r"allowed\.0 is True, and the column is int"):
        Column(type="int", allowed=(True,))


def test_values_that_do_not_come_from_a_file_are_told_the_same() -> None:
    with pytest.raises(ValueError, match="quote it"):
        Column(type="string", allowed=("SE", False))
