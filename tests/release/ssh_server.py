"""A real SSH server on loopback: Debian's sshd, in the foreground, with keys and configuration of its own."""

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness.servers import START_S, free_port

TOOLS = Path(sys.executable).parents[1] / "tools" / "usr"
"""Where `make tools` puts it."""
AS_ROOT = 'mount -t tmpfs tmpfs /run && mkdir /run/sshd && mount --bind "$1" /etc/passwd && shift && exec "$@"'
"""sshd that root starts wants an account and a folder for its unprivileged half; it gets them in a namespace."""


@dataclass(frozen=True)
class SshServer:
    """A server that takes one key."""

    port: int
    key: Path
    """Of the client."""
    known_hosts: Path
    """With the server's true key."""

    def url(self, repository: Path) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{repository}"


def ssh_key(path: Path) -> Path:
    """A new key without passphrase; its public half lies beside it."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tests", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


def host_line(port: int, key: Path) -> str:
    """The line of a known_hosts file for a server."""
    return f"[127.0.0.1]:{port} {key.with_name(key.name + '.pub').read_text()}"


@contextmanager
def running_sshd(home: Path) -> Iterator[SshServer]:
    """Start sshd with its files in the folder; the test is skipped where there is none, or it may not run."""
    binary = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:{TOOLS / 'sbin'}")
    if not binary:
        pytest.skip("sshd is neither on PATH nor in .venv/tools; `make tools` fetches it from Debian")
    host, client, port = ssh_key(home / "host"), ssh_key(home / "client key 100%"), free_port()
    (home / "authorized").write_text(client.with_name(client.name + ".pub").read_text())
    settings = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": host,
        "AuthorizedKeysFile": home / "authorized",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "AcceptEnv": "GIT_PROTOCOL",
        "PidFile": "none",
    }
    (home / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    command = [binary, "-D", "-e", "-f", str(home / "sshd_config")]
    if os.geteuid() == 0:
        accounts = [line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith("sshd:")]
        (home / "passwd").write_text("\n".join([*accounts, "sshd:x:65534:65534::/run/sshd:/bin/false", ""]))
        command = ["unshare", "--mount", "sh", "-c", AS_ROOT, "sh", str(home / "passwd"), *command]
    libraries = ":".join(map(str, Path(binary).parents[1].glob("lib/*-linux-gnu")))
    environment = {**os.environ, **({"LD_LIBRARY_PATH": libraries} if Path(binary).is_relative_to(TOOLS) else {})}
    server = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr
        said = ""
        for line in server.stderr:
            said += line
            if "Server listening" in line:
                break
        else:
            server.wait(START_S)
            pytest.skip(f"sshd does not run here: {said.strip()[-300:]}")
        (home / "known hosts 100%").write_text(host_line(port, host))
        yield SshServer(port, client, home / "known hosts 100%")
    finally:
        server.terminate()
        server.wait(START_S)
