"""An image that was built before, and podman to run it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

NAME = "OSTINATO_TEST_IMAGE"
"""Variable: name of an image in podman's store, built as docs/how-to/image.md says."""
Podman = Callable[..., str]


@pytest.fixture(scope="session")
def image() -> str:
    """Its name; the test is skipped where there is none, since building one takes minutes and the network."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed")
    if not (name := os.environ.get(NAME)):
        pytest.skip(f"{NAME} does not name an image to test (docs/how-to/image.md)")
    done = subprocess.run(["podman", "image", "exists", name])
    assert done.returncode == 0, f"{NAME}: {name} is not in podman's store"
    return name


@pytest.fixture
def podman(image: str) -> Podman:
    """Runs a command in the image without network, with options for ``podman run``: its output."""

    def run(*command: str, options: tuple[str, ...] = (), text: str = "") -> str:
        whole = ["podman", "run", "--rm", "-i", "--network=none", *options, image, *command]
        done = subprocess.run(whole, input=text, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout + done.stderr

    return run


@pytest.fixture
def docker_host(image: str) -> Iterator[str]:
    """Address of a socket where podman speaks Docker's protocol."""
    with tempfile.TemporaryDirectory() as folder:
        address = f"unix://{folder}/podman.sock"
        service = subprocess.Popen(["podman", "system", "service", "--time=0", address])
        try:
            wait_for(Path(folder) / "podman.sock", service)
            yield address
        finally:
            service.terminate()
            service.wait(20)


def wait_for(path: Path, service: subprocess.Popen[bytes]) -> None:
    """Until the socket is there: inotify's way is not portable, so the process is asked ten times a second."""
    for _ in range(200):
        if path.exists():
            return
        try:
            raise AssertionError(f"podman system service ended with {service.wait(0.1)}")
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError("podman's socket did not appear within 20 s")
