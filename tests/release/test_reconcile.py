"""The registry's aliases follow git, for every model that can follow, and say why where they can't."""

import pytest
from harness.candidates import model_spec
from harness.registered import Place

from delivery.registry.lookup import registry
from delivery.registry.mlflow import mlflow_client
from delivery.releases.reconcile import AliasChange, reconcile
from delivery.releases.release import release
from delivery.releases.rollback import commit_rollback
from training.errors import OstinatoError

NAME = "bike-demand"


def aliases(place: Place) -> dict[str, str]:
    return registry(place.tracking_uri).aliases(NAME)


def test_aliases_follow_releases_and_rollbacks(place: Place) -> None:
    place.release("1")
    assert reconcile(place.connections) == [AliasChange(NAME, NAME, "champion", "", "1")]
    place.release("3")
    reconcile(place.connections)
    assert aliases(place) == {"candidate": "3", "champion": "3", "previous": "1"}
    commit_rollback(place.remote, NAME)
    assert reconcile(place.connections) == [
        AliasChange(NAME, NAME, "champion", "3", "1"),
        AliasChange(NAME, NAME, "previous", "1", ""),
    ]
    assert aliases(place) == {"candidate": "3", "champion": "1"}


def test_a_second_reconcile_changes_nothing(place: Place) -> None:
    place.release("2")
    reconcile(place.connections)
    assert reconcile(place.connections) == []


def test_an_alias_that_was_moved_by_hand_is_moved_back(place: Place) -> None:
    place.release("1")
    reconcile(place.connections)
    mlflow_client(place.tracking_uri).set_registered_model_alias(NAME, "champion", "3")
    assert reconcile(place.connections) == [AliasChange(NAME, NAME, "champion", "3", "1")]


def test_an_empty_repository_changes_nothing(place: Place) -> None:
    assert reconcile(place.connections) == []


def test_a_manifest_that_the_registry_can_not_follow_is_named_and_the_others_follow(place: Place) -> None:
    place.release("2")
    release(model_spec("a-broken-one", registry=NAME), place.connections, "1", "direct")
    place.commit("models/a-broken-one/inferenceservice.yaml", b"not yaml: [")
    with pytest.raises(OstinatoError, match=r"a-broken-one/inferenceservice.yaml.*is not YAML") as caught:
        reconcile(place.connections)
    assert "moved: bike-demand@champion to 2" in str(caught.value)
    assert aliases(place)["champion"] == "2"
    mlflow_client(place.tracking_uri).delete_model_version(NAME, "2")
    with pytest.raises(OstinatoError, match="manifest of bike-demand names version 2 of bike-demand, which the regist"):
        reconcile(place.connections, NAME)


def test_a_version_with_another_digest_than_the_manifest_says_is_not_followed(place: Place) -> None:
    place.release("2")
    mlflow_client(place.tracking_uri).set_model_version_tag(NAME, "2", "ostinato.model_digest", "sha256:other")
    with pytest.raises(OstinatoError, match=r"version 2 .*with digest sha256:.*the registry has it with sha256:other"):
        reconcile(place.connections)
    assert "champion" not in aliases(place)


def test_two_models_that_share_a_registered_model_are_a_conflict_that_is_named(place: Place) -> None:
    place.release("2")
    release(model_spec("zebra", registry=NAME), place.connections, "1", "direct")
    with pytest.raises(OstinatoError, match="bike-demand and zebra share 'bike-demand'"):
        reconcile(place.connections)
    assert aliases(place)["champion"] == "2"
