"""The policy at a release: read from the very commit that the release builds on."""

from collections.abc import Mapping
from datetime import datetime

from delivery.git.history import first_releases
from delivery.git.repository import Snapshot
from delivery.registry.versions import ModelVersion
from delivery.trust.keys import ISSUER, VERIFY_KEY, configured_verifier
from delivery.trust.policy import POLICY_FILE, parse_policy
from delivery.trust.rules import SKIP, Request, broken_rules
from training.errors import GateRefused, InputError


def enforce(
    snapshot: Snapshot,
    content: bytes,
    name: str,
    version: ModelVersion,
    tracking_uri: str,
    trailers: Mapping[str, str],
    proposal: bool,
) -> None:
    """Raises GateRefused with every rule of the policy that forbids the version, InputError for a policy that can't be
    read. content: of policy.yaml there."""
    rules = parse_policy(content, f"{POLICY_FILE} at commit {snapshot.commit[:12]} of the manifests repository").of(
        name
    )
    if rules.require_signature and configured_verifier() is None:
        raise InputError(
            f"{POLICY_FILE} of the manifests repository has require_signature, but nothing says whose; set "
            f"{VERIFY_KEY}, or for keyless signatures {ISSUER} and who must have signed"
        )

    def released() -> dict[str, datetime]:
        snapshot.repository.fetch_commits()
        return first_releases(snapshot, name)

    identity = snapshot.repository.git("var", "GIT_AUTHOR_IDENT").decode()
    author = identity.partition("<")[2].partition(">")[0]
    skips = (trailers[SKIP],) if trailers.get(SKIP) else ()
    problems = broken_rules(rules, Request(version, author, skips, released, proposal), tracking_uri)
    if problems:
        raise GateRefused(
            f"the policy of the manifests repository does not allow version {version.version} of {name}; nothing was "
            "committed:" + "".join(f"\n  {problem}" for problem in problems)
        )
