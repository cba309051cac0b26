"""The KFP face of the train step."""

from kfp import dsl


@dsl.component(base_image="ostinato", install_kfp_package=False)
def train(
    model: str,
    task: str,
    data_spec: str,
    training_spec: str,
    export: str,
    code: str,
    texts: str,
    data: dsl.Input[dsl.Dataset],
    candidate: dsl.Output[dsl.Model],
):
    """Fit the model on the training rows and save it as an MLflow model folder."""
    import json
    from pathlib import Path

    from components.artifacts import describe
    from components.train.steps import train
    from training.spec.argument import unpack

    data_spec, training_spec = unpack([data_spec, training_spec], texts)
    trained = train(model, task, data_spec, training_spec, Path(data.path), Path(candidate.path), export, code)
    candidate.framework = trained.framework
    hyperparameters = json.dumps(json.loads(training_spec)["hyperparameters"], sort_keys=True)
    loss = json.dumps(trained.loss) if trained.loss else ""
    facts = {"digest": trained.digest, "rows": trained.rows, "code": code, "loss": loss}
    describe(candidate, {**facts, "hyperparameters": hyperparameters})
