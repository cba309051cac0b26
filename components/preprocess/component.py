from kfp import dsl


@dsl.component(base_image="ostinato", install_kfp_package=False)
def preprocess(
    model: str,
    data_spec: str,
    data_uri: str,
    data_snapshot: str,
    as_of: str,
    code: str,
    texts: str,
    data: dsl.Output[dsl.Dataset],
):
    """Read, check and split the rows of a model.

    Args:
        model: Name of the model; its folder may define a `features` hook.
        data_spec: Canonical JSON of the spec's data section.
        data_uri: Where the rows are; empty for the spec's own source.
        data_snapshot: What the caller found at the source; the run stops if it has changed. Empty for no check.
        as_of: ISO date or time; only earlier rows are seen. Empty for all rows.
        code: Digest of the code behind this step; a part of the cache key.
        texts: Digest of the spec's texts among the arguments, as they were compiled.
        data: Folder with train.parquet, test.parquet, refused.parquet (if rows were refused) and data.json.
    """
    from pathlib import Path

    from components.artifacts import data_facts, describe
    from components.preprocess.steps import preprocess
    from training.spec.argument import unpack

    (data_spec,) = unpack([data_spec], texts)
    card = preprocess(model, data_spec, data_uri, data_snapshot, as_of, Path(data.path))
    describe(data, data_facts(card))
