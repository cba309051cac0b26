"""infra/: what can be checked of it without the provider, which only HashiCorp's registry has.

Form, names and roles; that Google takes each field is shown by nothing here, and
docs/how-to/infrastructure.md says so.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "infra").glob("*.tf"))
TEXT = "\n".join(re.sub(r"^\s*#.*$", "", file.read_text(), flags=re.MULTILINE) for file in FILES)
BLOCK = re.compile(r'^(resource|data|variable|output) "(\w+)"(?: "(\w+)")? \{', re.MULTILINE)
TOO_MUCH = ("roles/owner", "roles/editor", "roles/viewer", "roles/iam.securityAdmin", "roles/resourcemanager")


def blocks(kind: str) -> set[str]:
    return {f"{m[2]}.{m[3]}" if m[3] else m[2] for m in BLOCK.finditer(TEXT) if m[1] == kind}


def local_names() -> set[str]:
    """Names in `locals` blocks: the assignments that are indented once."""
    found: set[str] = set()
    for block in re.findall(r"^locals \{\n(.*?)^\}", TEXT, re.MULTILINE | re.DOTALL):
        found |= set(re.findall(r"^  (\w+)\s*=", block, re.MULTILINE))
    return found


def used(prefix: str) -> set[str]:
    return set(re.findall(rf"(?<![\w.\"]){prefix}\.(\w+)", TEXT))


@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed")
def test_every_file_is_formatted_and_parses() -> None:
    env = {**os.environ, "CHECKPOINT_DISABLE": "1"}
    command = ["terraform", "fmt", "-check", "-diff", str(ROOT / "infra")]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_variable_and_local_value_is_declared_and_used() -> None:
    assert used("var") == blocks("variable")
    assert used("local") == local_names()


def test_every_resource_that_is_named_is_declared() -> None:
    plain = re.sub(r"(?<!\w)data\.\w+\.\w+", "", TEXT)
    named = set(re.findall(r"(?<![\w.\"/])(google_\w+\.\w+)", plain))
    assert named - blocks("resource") == set()
    assert set(re.findall(r"(?<!\w)data\.(\w+\.\w+)", TEXT)) == blocks("data")


def test_every_account_that_something_is_granted_to_exists() -> None:
    accounts = {name.split(".")[1] for name in blocks("resource") if name.startswith("google_service_account.")}
    members = re.search(r"  members = \{\n(.*?)\n  \}", TEXT, re.DOTALL)
    assert members and set(re.findall(r"^    (\w+)\s*=", members[1], re.MULTILINE)) == accounts
    for names in re.findall(r"toset\(\[((?:\"[a-z]+\"(?:, )?)+)\]\)", TEXT):
        assert set(re.findall(r'"([a-z]+)"', names)) <= accounts
    readers = re.search(r"  secret_readers = \{\n(.*?)\n  \}", TEXT, re.DOTALL)
    assert readers and set(re.findall(r'"([a-z]+)"', readers[1])) <= accounts


def test_no_account_may_do_everything() -> None:
    roles = set(re.findall(r'"(roles/[\w.]+)"', TEXT))
    assert roles and not [role for role in roles if role.startswith(TOO_MUCH) or role.lower().endswith("admin")]


def test_what_anybody_may_call_is_the_entry_point_for_events_alone() -> None:
    assert TEXT.count("allUsers") == 1 and "allAuthenticatedUsers" not in TEXT
    public = TEXT[: TEXT.index("allUsers")].rsplit("resource ", 1)[1]
    assert public.startswith('"google_cloud_run_v2_service_iam_member" "anyone_may_knock"')


def test_no_secret_has_a_value_here() -> None:
    assert "google_secret_manager_secret_version" not in TEXT
    assert not re.search(r"(secret_data|password|private_key)\s*=", TEXT)


def test_buckets_are_closed_and_can_give_back_what_was_deleted() -> None:
    buckets = re.findall(r'^resource "google_storage_bucket" "\w+" \{\n(.*?)^\}', TEXT, re.MULTILINE | re.DOTALL)
    assert len(buckets) == 2
    for bucket in buckets:
        assert re.search(r"uniform_bucket_level_access\s*= true", bucket)
        assert re.search(r'public_access_prevention\s*= "enforced"', bucket)
        assert re.search(r"versioning \{\s*enabled = true", bucket)


def test_github_is_let_in_for_this_repository_only() -> None:
    assert "assertion.repository == '${var.repository}'" in TEXT
