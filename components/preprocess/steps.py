"""preprocess: rows from a source, checked against the contract and split into train and test."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from components.preprocess.card import describe
from components.preprocess.language.steps import fill_conversations
from components.preprocess.table.checks import check_gaps, check_hook, check_refused
from components.preprocess.table.contract import conform, kept, refused, rules
from components.preprocess.table.hook import MODULE, blamed, find, with_features
from components.preprocess.table.order import in_order
from components.preprocess.table.scan import reading, scan, staged
from components.preprocess.table.split import sides
from components.preprocess.table.survey import before, survey
from components.preprocess.table.write import sinks, write, write_counted
from components.preprocess.testset import check_columns, pinned, without_pinned
from delivery.documents.data_card import DATA_CARD_FILE, REFUSED_FILE, TEST_FILE, DataCard
from delivery.stores.sources import Source, resolve_all, together
from training.errors import InputError
from training.folder import model_folder, workspace_root
from training.spec import ConversationSpec, DataSpec


def preprocess(model: str, data_spec: str, data_uri: str, data_snapshot: str, as_of: str, out: Path) -> DataCard:
    """Write train.parquet, test.parquet, refused.parquet (if rows were refused) and data.json into ``out``.

    ``out`` appears whole or not at all. Rows are ordered by time where there is a time column, else as in the
    source; columns as in ``data_spec``. Equal input gives equal bytes. The rows are streamed, so memory stays
    bounded however many there are.

    Conversations, `kind: conversations`, are held in memory and go another way: see
    :mod:`components.preprocess.language.steps`.

    ``data_uri`` replaces the spec's source; ``data_snapshot``, if not empty, is what
    :func:`delivery.stores.sources.snapshot` said about it earlier, and must still hold; only rows before
    ``as_of`` (ISO date or time) are seen. Raises InputError for whatever is wrong with data, spec or hook.
    """
    return prepare(model, model_folder(workspace_root(), model), data_spec, data_uri, data_snapshot, as_of, out)


def prepare(
    model: str, folder: Path, data_spec: str, data_uri: str, data_snapshot: str, as_of: str, out: Path
) -> DataCard:
    """:func:`preprocess` for a model in a given folder."""
    spec = _parsed(data_spec)
    given = data_uri or spec.source
    sources = resolve_all(given, folder, spec)
    with reading(" and ".join(source.uri for source in sources)):
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as name:
            scratch = Path(name)
            ready = scratch / "ready"
            ready.mkdir()
            with ThreadPoolExecutor(1) as beside:
                stamps = [source.stamp() for source in sources]
                snapshots = beside.submit(lambda: [source.snapshot() for source in sources])
                if isinstance(spec, DataSpec):
                    card = _fill(model, spec, folder, sources[0], as_of, scratch, ready)
                else:
                    card = fill_conversations(model, spec, folder, sources, as_of, scratch, ready)
            snapshot = together(snapshots.result())
            _check_unchanged(sources, stamps, snapshot, data_snapshot)
            card = card.model_copy(update={"source": given, "snapshot": snapshot})
            card.write(ready / DATA_CARD_FILE)
            if out.exists():
                out.rename(scratch / "replaced")
            ready.rename(out)
    return card


def _parsed(data_spec: str) -> DataSpec | ConversationSpec:
    kind = ConversationSpec if json.loads(data_spec).get("kind") == "conversations" else DataSpec
    return kind.model_validate_json(data_spec)


def _fill(model: str, spec: DataSpec, folder: Path, source: Source, as_of: str, scratch: Path, ready: Path) -> DataCard:
    """The work itself: everything but data.json, in ``ready``."""
    pin = pinned(spec, model, folder, as_of, scratch)
    rows = before(conform(scan(source, spec, scratch), spec), spec, as_of)
    rows = staged(rows, source, scratch)
    seen = survey(rows, spec)
    if not seen.rows:
        raise InputError(f"{source.uri} holds no rows" + (f" before as_of {as_of}" if as_of else ", only a header"))

    contract = rules(spec, rows.collect_schema(), seen.duplicates)
    refused(rows, spec, contract).sink_parquet(ready / REFUSED_FILE, engine="streaming")
    lost, lost_by_reason = check_refused(ready / REFUSED_FILE, contract, seen.rows, spec, source.uri)
    ordered = in_order(kept(rows, spec, contract), spec, seen, scratch)
    check_gaps(ordered, spec, source.uri)

    hook = find(folder)
    featured = with_features(ordered, hook, spec, folder)
    split = sides(spec, seen.last)
    if pin:
        split = without_pinned(split, spec, pin)
        check_columns(pin, featured.collect_schema(), model)
        shutil.copyfile(pin.file, ready / TEST_FILE)
    queries = sinks(ready, featured, split, with_test=pin is None)
    if hook:
        with blamed(folder, hook):
            made = write_counted(queries, featured, spec.time)
        check_hook(made, seen.rows - lost, spec, folder / MODULE)
    else:
        write(queries, by_time=spec.split.by == "time")
    return describe(
        ready,
        spec,
        model=model,
        source=source.uri,
        snapshot="",
        as_of=as_of,
        split=split.words,
        refused=lost,
        refused_by_reason=lost_by_reason,
        pinned_test_set=pin is not None,
        warnings=pin.warnings if pin else (),
    )


def _check_unchanged(sources: tuple[Source, ...], stamps: list[str], snapshot: str, expected: str) -> None:
    for source, stamp in zip(sources, stamps, strict=True):
        if source.stamp() != stamp:
            raise InputError(f"{source.uri} changed while it was read; run again when nothing writes to it")
    if expected and snapshot != expected:
        uris = " or ".join(source.uri for source in sources)
        raise InputError(f"{uris} changed since the run began (it was {expected}, is {snapshot}); run again")
