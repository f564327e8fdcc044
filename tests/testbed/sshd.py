"""A real sshd on a loopback port, with keys and configuration of its own: ``with Sshd() as server: ...``

It lets the current user in with ``server.private_key``, and its key stands in ``server.known_hosts`` under
``[127.0.0.1]:port``.  Nothing of the machine's own ssh set-up is read or written.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

__all__ = ["Sshd"]

_SSHD = "/usr/sbin/sshd"


class Sshd:
    """Skips the test, saying why, where openssh-server is missing."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        if not os.access(_SSHD, os.X_OK) or shutil.which("ssh-keygen") is None:
            pytest.skip("sshd missing: apt-get install --no-install-recommends openssh-server openssh-client")
        self.work = Path(tempfile.mkdtemp(prefix="sshd-"))
        self.private_key, self.known_hosts = self.work / "id", self.work / "known_hosts"
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind((self.host, 0))
            self.port: int = probe.getsockname()[1]
        for key in ("host", "id"):
            self.new_key(key)
        self.known_hosts.write_text(f"[{self.host}]:{self.port} {(self.work / 'host.pub').read_text()}")
        (self.work / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress {self.host}\nHostKey {self.work}/host\nAuthorizedKeysFile {self.work}/id.pub\n"
            "PidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where a privileged sshd locks itself up before the login

    def new_key(self, name: str) -> None:
        """A new key pair in the files ``name`` and ``name.pub``."""
        (self.work / name).unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.work / name)], check=True)

    @property
    def settings(self) -> dict[str, Any]:
        """How the ssh driver gets in, under any node name."""
        return {
            "host": self.host,
            "port": self.port,
            "username": getpass.getuser(),
            "private_key": str(self.private_key),
            "known_hosts": str(self.known_hosts),
        }

    def start(self) -> None:
        """Start sshd and wait for its port."""
        with (self.work / "log").open("ab") as log:
            self._process = subprocess.Popen([_SSHD, "-D", "-e", "-f", str(self.work / "sshd_config")], stderr=log)
        end = time.monotonic() + 20
        while time.monotonic() < end and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex((self.host, self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError(f"sshd did not start:\n{self.log()}")

    def stop(self) -> None:
        """Stop sshd, with the connections that it serves."""
        if self._process is not None:
            for child in Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split():
                os.kill(int(child), 15)
            self._process.terminate()
            self._process.wait()
            self._process = None

    def log(self) -> str:
        """What sshd said."""
        return (self.work / "log").read_text()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        shutil.rmtree(self.work, ignore_errors=True)
