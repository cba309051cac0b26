"""A text that a manifest holds is the same text for Kubernetes: its own reader, in kubectl, is asked."""

import json
from pathlib import Path

import pytest
from harness.manifest_tree import kubectl

from delivery.kserve.documents import from_bytes, to_bytes

TEXTS = (
    *("y", "Y", "n", "N", "yes", "no", "on", "off", "true", "False", "null", "~", ""),
    *("1", "-1", "+1", "08", "0129999", "0o17", "0x1F", "0b1", "1_000", "1.", ".5", "1.5", "1e3", "6e12345", "1E+3"),
    *(
        ".inf",
        ".nan",
        "2026-12-01",
        "2026-12-01T10:00:00Z",
        "12:30:45",
        "1:2",
        "=",
        "<<",
        "- a",
        "a: b",
        "a #b",
        "é",
        "\t",
    ),
)


@pytest.mark.parametrize("text", TEXTS)
def test_kubernetes_reads_a_written_text_as_the_same_text(text: str, tmp_path: Path) -> None:
    data = {"value": text, **({text: "key"} if text.isalnum() else {})}
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "texts"}, "data": data}
    file = tmp_path / "texts.yaml"
    file.write_bytes(to_bytes([document]))
    assert from_bytes(file.read_bytes()) == [document]
    assert json.loads(kubectl("label", "--local", f"--filename={file}", "a=b", "--output=json"))["data"] == data
