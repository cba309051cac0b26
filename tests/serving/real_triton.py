"""A real Triton from PyPI's nvidia-pytriton: its own front, and ONNX Runtime by the one backend that it brings.

OSTINATO_PYTRITON_PYTHON names a Python with nvidia-pytriton and onnxruntime. The package has the Python backend only,
so the model is read by a few lines of Python; requests, shapes, types, batches and errors are Triton's.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from delivery.serving.runtime_table import OWN_TABLE

NAME = "triton-of-pypi"
ABOUT = (
    "import sys, sysconfig, pathlib, pytriton; "
    "print(pathlib.Path(pytriton.__file__).parent, sysconfig.get_config_var('LIBDIR'), sysconfig.get_path('purelib'), "
    "'%d.%d' % sys.version_info[:2])"
)
BACKEND = """
import os
import numpy as np
import onnxruntime
import triton_python_backend_utils as triton


def text(values, change):
    return values if values.dtype != object else np.array([[change(one) for one in row] for row in values], object)


class TritonPythonModel:
    def initialize(self, args):
        folder = os.path.join(args["model_repository"], args["model_version"])
        self.session = onnxruntime.InferenceSession(os.path.join(folder, "model.onnx"))

    def execute(self, requests):
        return [self.answer(one) for one in requests]

    def answer(self, request):
        names = [one.name for one in self.session.get_inputs()]
        feeds = {one: text(triton.get_input_tensor_by_name(request, one).as_numpy(), bytes.decode) for one in names}
        found = zip(self.session.get_outputs(), self.session.run(None, feeds))
        return triton.InferenceResponse([triton.Tensor(one.name, text(value, str.encode)) for one, value in found])
"""


def prepare(repository: Path, folder: Path, workspace: Path) -> Path:
    """Write the repository for the Python backend into the folder, and the entry ``NAME`` into the workspace's table.

    Skips the test where OSTINATO_PYTRITON_PYTHON is not set.
    """
    python = os.environ.get("OSTINATO_PYTRITON_PYTHON")
    if not python:
        pytest.skip("OSTINATO_PYTRITON_PYTHON names no Python with nvidia-pytriton and onnxruntime")
    told = subprocess.run([python, "-c", ABOUT], capture_output=True, text=True, check=True).stdout.split()
    package, libraries, site, version = Path(told[0]), told[1], told[2], told[3]
    triton = package / "tritonserver"
    shutil.copytree(triton / "backends" / "python", folder / "backends" / "python")
    stub = triton / "python_backend_stubs" / version / "triton_python_backend_stub"
    shutil.copy2(stub, folder / "backends" / "python")
    for config in repository.glob("*/config.pbtxt"):
        model = shutil.copytree(config.parent, folder / "models" / config.parent.name)
        lines = config.read_text().replace('platform: "onnxruntime_onnx"', 'backend: "python"')
        (model / "config.pbtxt").write_text(lines)
        (model / "1" / "model.py").write_text(BACKEND)
    found = [triton / "external_libs", triton / "lib", package.parent / "nvidia_pytriton.libs", libraries]
    ports = ["--http-port={http_port}", "--grpc-port={grpc_port}", "--metrics-port={metrics_port}"]
    here = [f"--{kind}-address=127.0.0.1" for kind in ("http", "grpc", "metrics")]
    backends = f"--backend-directory={folder / 'backends'}"
    entry = {
        "about": "Triton of PyPI.",
        "formats": {"onnx": ["onnx"]},
        "protocols": ["v2"],
        "loading_runs_code": False,
        "start": {
            "command": [str(triton / "bin" / "tritonserver"), "--model-store={model_dir}", *ports, *here, backends],
            "environment": {
                "LD_LIBRARY_PATH": ":".join(map(str, found)),
                "PYTHONPATH": site,
                "PATH": f"{Path(python).parent}:{os.environ['PATH']}",
            },
        },
        "sources": ["https://pypi.org/project/nvidia-pytriton"],
    }
    (workspace / "training").mkdir()
    (workspace / OWN_TABLE).write_text(yaml.safe_dump({NAME: entry}))
    return folder / "models"
