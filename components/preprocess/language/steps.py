"""preprocess of conversations: read, checked, compared with each other, and on two sides.

They are text that people wrote, so they are held in memory whole, unlike tables: 100,000 short ones (a question and an
answer, 40 words together) took 430 MB and 9 s on one core, near-duplicates and
all.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.preprocess.card import MESSAGES, describe
from components.preprocess.language.messages import Written, read_written
from components.preprocess.language.refusals import Refusal, check_refusals, counts_of, write_refusals
from components.preprocess.language.repeats import Conversation, conflicts, leaks, repeats
from components.preprocess.language.turns import Fault, Messages, ignored_keys, messages_of, text_of
from components.preprocess.table.hook import HOOK, MODULE, find
from components.preprocess.table.split import below, hash_keys
from components.preprocess.table.write import ROW_GROUP
from delivery.documents.data_card import REFUSED_FILE, TEST_FILE, TRAIN_FILE, DataCard
from delivery.stores.sources import Source, resolve_all
from training.errors import InputError
from training.spec import ConversationSpec

if TYPE_CHECKING:
    import polars as pl

ID = "id"
FIRST = 100
"""Rows of a source that `ostinato validate` looks at."""


def fill_conversations(
    model: str,
    spec: ConversationSpec,
    folder: Path,
    sources: tuple[Source, ...],
    as_of: str,
    scratch: Path,
    ready: Path,
) -> DataCard:
    """Write train.parquet, test.parquet and refused.parquet (if rows were refused) into ``ready``; returns their card.

    Columns are `id` (text: the first 16 hex digits of the SHA-256 of the messages as canonical JSON), `messages` (list
    of `{role, content}`), the key and the labels (text); rows as in the source. ``sources`` are the source and, where
    `data.test` names one, the fixed questions. Raises InputError for whatever is wrong with data or spec.
    """
    if as_of:
        raise InputError(f"as_of is {as_of!r}, but conversations have no time; leave it out")
    if find(folder):
        raise InputError(f"{folder / MODULE}: {HOOK}() is for tables; conversations are taken as they are, remove it")
    columns = columns_of(spec)
    read = _read(sources, columns, scratch)
    kept: list[Conversation] = []
    refused: list[Refusal] = []
    for rows in read:
        for row in rows:
            checked = conversation_of(row, spec, columns)
            kept.append(checked) if isinstance(checked, Conversation) else refused.append(checked)

    train, test, words = _sides(kept, spec)
    test, lost = _without(test, repeats(test, spec.near_duplicate))
    refused += lost
    train, lost = _without(train, leaks(train, test, spec.near_duplicate, spec.key))
    refused += lost
    train, lost = _without(train, repeats(train, spec.near_duplicate))
    refused = sorted([*refused, *lost], key=lambda refusal: (refusal.written.field, refusal.written.number))
    for source, rows in zip(sources, read, strict=True):
        of_this = [refusal for refusal in refused if refusal.written.field == rows[0].field]
        check_refusals(of_this, len(rows), spec, source.uri)

    for side, name in ((train, TRAIN_FILE), (test, TEST_FILE)):
        _frame(side, columns).write_parquet(ready / name, compression="zstd", row_group_size=ROW_GROUP)
    if refused:
        write_refusals(ready / REFUSED_FILE, refused, columns)
    return describe(
        ready,
        spec,
        model=model,
        source=sources[0].uri,
        snapshot="",
        split=words,
        refused=len(refused),
        refused_by_reason=counts_of(refused),
        warnings=(*_conflicts(train), *_ignored([*train, *test])),
    )


def glance(spec: ConversationSpec, folder: Path, scratch: Path) -> tuple[int, int]:
    """Read the first :data:`FIRST` rows of the source and of the fixed questions, and check each by itself.

    Returns how many are in order, and how many were read. Raises InputError as preprocess does; where a source goes on
    after them its bad rows may be the only ones, so then only if none is in order.
    """
    columns = columns_of(spec)
    sources = resolve_all(spec.source, folder, spec)
    read = _read(sources, columns, scratch, FIRST)
    good = 0
    for source, rows in zip(sources, read, strict=True):
        checked = [conversation_of(row, spec, columns) for row in rows]
        refused = [row for row in checked if isinstance(row, Refusal)]
        if len(rows) < FIRST or len(refused) == len(rows):
            check_refusals(refused, len(rows), spec, source.uri)
        good += len(rows) - len(refused)
    return good, sum(map(len, read))


def columns_of(spec: ConversationSpec) -> tuple[str, ...]:
    """Key and labels, each once. Raises InputError for a name that preprocess uses itself."""
    names = dict.fromkeys(name for name in (spec.key, *spec.labels) if name)
    for name in names:
        if name in (ID, MESSAGES):
            raise InputError(f"data.key or data.labels names {name!r}, which is taken; rename that column")
    return tuple(names)


def conversation_of(row: Written, spec: ConversationSpec, columns: Sequence[str]) -> Conversation | Refusal:
    """What is in the row, if it is in order by itself."""
    messages = messages_of(row.values.get(MESSAGES), spec)
    texts = {name: text_of(row.values.get(name), name) for name in columns}
    faults = [value for value in (messages, *texts.values()) if isinstance(value, Fault)]
    if faults or isinstance(messages, Fault):
        return Refusal(row, tuple(faults))
    return Conversation(row, messages, {name: text for name, text in texts.items() if isinstance(text, str)})


def id_of(messages: Messages) -> str:
    """16 hex digits."""
    text = json.dumps(messages, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(
    sources: tuple[Source, ...], columns: Sequence[str], scratch: Path, first: int | None = None
) -> list[list[Written]]:
    fields = ("source", "test")[: len(sources)]
    read = []
    for field, source in zip(fields, sources, strict=True):
        (copies := scratch / field).mkdir(parents=True)
        read.append(read_written(field, source, (MESSAGES, *columns), copies, first))
    return read


def _sides(rows: list[Conversation], spec: ConversationSpec) -> tuple[list[Conversation], list[Conversation], str]:
    """Training rows, test rows, and the rule in words. Without a key the questions are hashed, so that equal ones stay
    together."""
    import polars as pl

    if spec.split is None:
        train = [row for row in rows if row.written.field == "source"]
        return train, [row for row in rows if row.written.field == "test"], f"tested by the questions of {spec.test}"
    keys = [row.columns[spec.key] if spec.key else row.questions for row in rows]
    tested = hash_keys(pl.Series(keys, dtype=pl.String)) < below(spec.split.test)
    words = f"keys in {spec.key}" if spec.key else "questions as keys"
    return (
        [row for row, on_test_side in zip(rows, tested, strict=True) if not on_test_side],
        [row for row, on_test_side in zip(rows, tested, strict=True) if on_test_side],
        f"{words}: {spec.split.test:.4g} of them are tested, by a stable hash",
    )


def _without(side: list[Conversation], faults: dict[int, Fault]) -> tuple[list[Conversation], list[Refusal]]:
    kept = [conversation for number, conversation in enumerate(side) if number not in faults]
    return kept, [Refusal(side[number].written, (fault,)) for number, fault in faults.items()]


def _frame(side: list[Conversation], columns: Sequence[str]) -> "pl.DataFrame":
    import polars as pl

    message = pl.Struct({"role": pl.String, "content": pl.String})
    schema = {ID: pl.String(), MESSAGES: pl.List(message), **dict.fromkeys(columns, pl.String())}
    rows = [(id_of(row.messages), row.messages, *(row.columns[name] for name in columns)) for row in side]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _conflicts(train: list[Conversation]) -> list[str]:
    pairs = list(conflicts(train))
    if not pairs:
        return []
    first, other = pairs[0]
    return [
        f"{len(pairs)} question(s) have different answers in the training rows, such as {first.written.place} and "
        f"{other.written.place}"
    ]


def _ignored(rows: list[Conversation]) -> list[str]:
    keys = Counter(key for row in rows for key in ignored_keys(row.written.values[MESSAGES]))
    what = "conversation(s) have a message with"
    return [f"{count} {what} {key!r}, which is not read" for key, count in sorted(keys.items())]
