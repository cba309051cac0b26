"""The policy of the manifests repository holds a release to its rules, and says when it would let it through."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from harness.candidates import bare_git
from harness.registered import Place
from trust.chain import NAME, Chain, make_chain

from delivery.releases.canary import commit_canary, commit_takeover, commit_takeover_end
from delivery.releases.operations import promote
from delivery.releases.release import Release, release
from delivery.releases.rollback import commit_rollback
from delivery.trust.keys import SIGNING_KEY, VERIFY_KEY
from delivery.trust.policy import parse_policy
from training.errors import GateRefused, InputError

ROOT = Path(__file__).parents[2]
WHO = "GIT_AUTHOR_EMAIL"


@pytest.fixture(scope="module")
def registered(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """A chain with versions 1 to 4, and no manifests repository."""
    home = tmp_path_factory.mktemp("registered")
    shutil.copy(empty_store, home / "mlflow.db")
    made = make_chain(home, f"sqlite:///{home}/mlflow.db", home / "none")
    assert [made.register(weight) for weight in (1, 2, 3, 4)] == ["1", "2", "3", "4"]
    return made


@pytest.fixture
def chain(registered: Chain, manifests: Path, own_environment: None, tmp_path: Path) -> Chain:
    """Versions 1 to 4 in a registry of the test's own; nothing is live."""
    shutil.copy(registered.place.tracking_uri.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    place = Place(f"sqlite:///{tmp_path}/mlflow.db", manifests, str(manifests), tmp_path)
    return Chain(registered.root, registered.spec, place, registered.code)


def with_policy(chain: Chain, text: str) -> Chain:
    chain.place.commit("policy.yaml", text.encode())
    return chain


def promoted(chain: Chain, version: str, skip: str | None = None) -> Release:
    return promote(chain.spec, chain.place.connections, version, "direct", skip=skip).result


def committed_at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """Commits from here on are of another time."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_DATE", moment.isoformat())


def ago(**much: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(**much)


def test_the_seed_and_a_repository_without_a_policy_allow_everything() -> None:
    assert parse_policy((ROOT / "manifests" / "policy.yaml").read_bytes()) == parse_policy(None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cool_dwn: 1h", r"policy.yaml at commit .*: unknown key 'cool_dwn'. Did you mean 'cool_down'\?"),
        ("cool_down: soon", r"cool_down: 'soon' is not a duration; write .* such as 8w"),
        ("releases_per_week: 0", r"releases_per_week: .* \(got 0\)"),
        (
            "models: {churn: {max_verdict_age: 7}}",
            r"models.churn.max_verdict_age: .7. is not a duration; write .* \(got 7\)",
        ),
        ("skip: [{check: latency, by: []}]", r"skip.0.by: "),
        ("- 1", r"must be a mapping"),
        ("a: [", r"is not YAML"),
    ],
)
def test_a_wrong_policy_names_the_field_the_value_and_the_fix(chain: Chain, text: str, words: str) -> None:
    with_policy(chain, text)
    with pytest.raises(InputError, match=words):
        promoted(chain, "1")
    assert chain.place.commits() == 2


def test_an_optional_check_that_the_policy_requires_must_have_passed(chain: Chain) -> None:
    with_policy(chain, "required_checks: [mae, latency]")
    failed = {"status": "failed", "required": False, "reason": "mae is 90.0, at most 70 is allowed"}
    version = chain.register(5, **failed)
    with pytest.raises(GateRefused) as caught:
        promoted(chain, version)
    said = str(caught.value)
    assert "required_checks: mae: mae is 90.0, at most 70 is allowed" in said
    assert "required_checks: latency: the verdict has no check of that name or kind" in said
    assert chain.place.commits() == 2
    with_policy(chain, "required_checks: [absolute]")
    with pytest.raises(GateRefused, match=r"required_checks: absolute: mae is 90\.0"):
        promoted(chain, version)
    assert promoted(chain, "2").changed


def test_a_check_is_skipped_only_by_whom_the_policy_names_and_only_until_then(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    until = "required_checks: [latency]\nskip: [{check: latency, by: [on-call@example.org], until: %s-01-01T00:00:00Z}]"
    with_policy(chain, until % 2500)
    monkeypatch.setenv(WHO, "someone@example.org")
    with pytest.raises(GateRefused, match=r"latency: .*; someone@example.org may not skip it"):
        promoted(chain, "1", skip="latency")
    monkeypatch.setenv(WHO, "on-call@example.org")
    with pytest.raises(GateRefused, match=r"required_checks: latency"):
        promoted(chain, "1")
    with pytest.raises(GateRefused, match=r"on-call@example.org may not skip it"):
        promoted(with_policy(chain, until % 2001), "1", skip="latency")
    promoted(with_policy(chain, until % 2500), "1", skip="latency")
    assert "Ostinato-Skip: latency" in bare_git(chain.place.manifests, "log", "-1", "--format=%B", "main")


def test_a_version_that_is_older_than_the_policy_allows_stays_where_it_is(chain: Chain) -> None:
    import sqlite3

    with_policy(chain, "max_verdict_age: 7d")
    with sqlite3.connect(chain.place.tracking_uri.removeprefix("sqlite:///")) as store:
        store.execute("UPDATE model_versions SET creation_time = ?", (int(ago(days=8).timestamp() * 1000),))
    with pytest.raises(GateRefused, match=r"max_verdict_age: 7d, but version 1 was judged and registered at .* UTC"):
        promoted(chain, "1")
    assert promoted(with_policy(chain, "max_verdict_age: 9d"), "1").changed


def test_the_cool_down_says_from_when_on_and_another_model_is_not_held_up(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_policy(chain, f"cool_down: 1h\nmodels: {{{NAME}: {{cool_down: 12h}}}}")
    last = ago(hours=2)
    committed_at(monkeypatch, last)
    promoted(chain, "1")
    allowed = (last + timedelta(hours=12)).strftime("%Y-%m-%d %H:%M:%S UTC")
    with pytest.raises(GateRefused, match=f"cool_down: 12h, but the last release was at .*; allowed from {allowed} on"):
        promoted(chain, "2")
    assert promoted(with_policy(chain, "cool_down: 1h\nmodels: {churn: {cool_down: 12h}}"), "2").changed


def test_the_budget_of_a_week_counts_the_releases_of_seven_days(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    with_policy(chain, "releases_per_week: 2")
    for version, days in (("1", 9), ("2", 6), ("3", 5)):
        committed_at(monkeypatch, ago(days=days))
        promoted(chain, version)
    monkeypatch.delenv("GIT_COMMITTER_DATE")
    with pytest.raises(
        GateRefused, match="releases_per_week: 2, and there were 2 in the last seven days; allowed from"
    ):
        promoted(chain, "4")
    assert promoted(with_policy(chain, "releases_per_week: 3"), "4").changed


def test_a_rollback_is_never_held_back_and_is_no_release_of_the_budget(chain: Chain) -> None:
    promoted(chain, "1")
    promoted(chain, "2")
    with_policy(chain, "cool_down: 1w\nreleases_per_week: 2\nrequired_checks: [latency]\nrequire_signature: true")
    assert commit_rollback(chain.place.remote, NAME).version == "1"
    assert promoted(with_policy(chain, "cool_down: 1w\nreleases_per_week: 2"), "2").version == "2"
    assert promoted(with_policy(chain, "releases_per_week: 3"), "3").changed


def test_a_merged_proposal_counts_from_its_merge(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    committed_at(monkeypatch, ago(days=3))
    release(chain.spec, chain.place.connections, "1", "pull-request")
    monkeypatch.delenv("GIT_COMMITTER_DATE")
    chain.place.merge(f"release/{NAME}/v1")
    with_policy(chain, "cool_down: 1d")
    with pytest.raises(GateRefused, match="cool_down: 1d"):
        promoted(chain, "2")
    proposed = release(chain.spec, chain.place.connections, "2", "pull-request")
    assert proposed.branch == f"release/{NAME}/v2"


def test_a_canary_is_a_release_and_its_end_is_not_another(chain: Chain) -> None:
    serving = {"deployment_mode": "Standard", "scaling": {"min_replicas": 2, "max_replicas": 2}}
    raw = chain.spec.model_dump(mode="json", exclude_defaults=True)
    spec = type(chain.spec).model_validate({**raw, "serving": {**raw.get("serving", {}), **serving}})
    connections = chain.place.connections
    release(spec, connections, "1", "direct")
    with_policy(chain, "cool_down: 1h")
    with pytest.raises(GateRefused, match="cool_down"):
        commit_canary(spec, connections, 10, "2")
    with_policy(chain, "{}")
    commit_canary(spec, connections, 10, "2")
    with_policy(chain, "cool_down: 1h\nrequired_checks: [latency]")
    for step in (commit_takeover, commit_takeover_end):
        assert step(spec, connections).changed


def test_a_required_signature_needs_a_key_to_verify_with_and_then_a_signature(
    chain: Chain, keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_policy(chain, "require_signature: true")
    with pytest.raises(InputError, match=f"has require_signature, but nothing says whose; set {VERIFY_KEY}"):
        promoted(chain, "1")
    monkeypatch.setenv(VERIFY_KEY, str(keys[VERIFY_KEY]))
    with pytest.raises(GateRefused, match="is not signed"):
        promoted(chain, "1")
    monkeypatch.setenv(SIGNING_KEY, str(keys[SIGNING_KEY]))
    assert promoted(chain, chain.register(6)).changed
