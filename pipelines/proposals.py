"""What waits at the forge: the open pull requests, and what people closed."""

from dataclasses import replace
from typing import TYPE_CHECKING

from delivery.forges.choose import forge_of
from delivery.forges.forge import Forge, ForgeError
from delivery.releases.live import Proposal, open_proposals
from pipelines.settings.settings import Workspace
from training.folder import model_names, model_spec

if TYPE_CHECKING:
    from delivery.releases.rejection import Rejection


def proposed_models(workspace: Workspace) -> dict[str, tuple[Proposal, ...]]:
    """The open proposals by model, each with its pull request where there is a forge that can be asked.

    Git says which branches are not merged; the forge, which of them were closed.
    """
    if workspace.embedded_manifests and not workspace.local_manifests.exists():
        return {}
    connections = workspace.connections
    proposals = open_proposals(connections.manifests_remote)
    forge = forge_of(connections.manifests_remote, connections.forge)
    if forge and proposals:
        proposals = _asked(forge, proposals)
    return {
        name: tuple(proposal for proposal in proposals if proposal.model == name)
        for name in {proposal.model for proposal in proposals}
    }


def _asked(forge: Forge, proposals: list[Proposal]) -> list[Proposal]:
    if not forge.has_token:
        return [replace(proposal, note=f"{forge.name} was not asked, for there is no token") for proposal in proposals]
    try:
        open_ones = {proposal.branch: proposal for proposal in forge.proposals("open")}
        closed = (
            {proposal.branch for proposal in forge.proposals("closed")} if len(open_ones) < len(proposals) else set()
        )
    except ForgeError as error:
        return [replace(proposal, note=str(error)) for proposal in proposals]
    answered = []
    for proposal in proposals:
        if pull := open_ones.get(proposal.branch):
            answered.append(replace(proposal, url=pull.url, draft=pull.draft))
        elif proposal.branch not in closed:
            answered.append(replace(proposal, note="it has no pull request yet; the command that pushed it opens one"))
    return answered


def reconcile_rejections(workspace: Workspace) -> tuple[list["Rejection"], str]:
    """Let the marks of rejected versions follow the forge; the changes, and why the forge was not asked, or "".

    Raises ForgeError if it can't be asked.
    """
    from delivery.releases.rejection import follow_rejections

    connections = workspace.connections
    forge = forge_of(connections.manifests_remote, connections.forge)
    if forge is None:
        return [], ""
    if not forge.has_token and not connections.forge:
        return [], f"{forge.name} was not asked which proposals were closed, for there is no token"
    registered = {name: model_spec(workspace.root, name).registered_name for name in model_names(workspace.root)}
    return follow_rejections(forge, connections, registered), ""
