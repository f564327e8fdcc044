"""A real Ganglia on loopback that carries a cluster of our making: one gmond, on request a gmetad that polls it.

    with GangliaBed(tmp_path, gmetad=True) as bed:
        bed.node("n1", "127.0.1.1", memory_kb=8 << 20, cpus=4, vms="web-1 (db-1)")
        bed.vm("web-1", "127.0.2.1", memory_kb=1 << 20, cpus=2, user=12.5)
        bed.settle()                              # until all of it is served
        ...                                       # 127.0.0.1, bed.gmond_port and bed.gmetad_port serve the XML

``bed.conf`` is the file for ``gmetric -c`` (and for ``entropy-ganglia-agent --gmetric-conf``).  gmond is mute, so only what
is pushed is in the XML; a host spoofed with ``gmetric -S`` counts as offline 80 s after its last packet.  gmond knows a
spoofed host by its address alone (the part before the colon, any text will do): every host needs one of its own, and always
the same.  Everything that was started is ended by ``stop()``, by process id.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

__all__ = ["GangliaBed", "require_ganglia"]

ADDRESS = "127.0.0.1"

GMOND = """
globals {{ daemonize = no  setuid = no  debug_level = 0  max_udp_msg_len = 1472  mute = yes  deaf = no
  host_dmax = 0  cleanup_threshold = {cleanup}  gexec = no  send_metadata_interval = 0 }}
cluster {{ name = "{cluster}" owner = "tests" latlong = "unspecified" url = "unspecified" }}
host {{ location = "unspecified" }}
udp_send_channel {{ host = {address} port = {port} ttl = 1 }}
udp_recv_channel {{ bind = {address} port = {port} }}
tcp_accept_channel {{ bind = {address} port = {port} }}
modules {{ module {{ name = "core_metrics" }} }}
"""

GMETAD = """
data_source "{cluster}" 1 {address}:{port}
gridname "{grid}"
setuid off
xml_port {xml}
interactive_port {query}
trusted_hosts {address}
all_trusted off
rrd_rootdir "{rrds}"
case_sensitive_hostnames {case}
"""


def require_ganglia(*programs: str) -> None:
    """Skips the test, with the command that would help, where Ganglia's programs are missing."""
    missing = [program for program in programs or ("gmond", "gmetric") if not _program(program)]
    if missing:
        pytest.skip(f"{', '.join(missing)} missing: apt-get install ganglia-monitor gmetad")


class GangliaBed:
    """One gmond, and one gmetad if ``gmetad``, in ``folder``; started by ``start()`` or ``with``.

    ``case_sensitive`` is gmetad's ``case_sensitive_hostnames`` (its own default is 0: names come out in lower case).
    """

    def __init__(
        self,
        folder: Path,
        *,
        gmetad: bool = False,
        cluster: str = "testbed",
        grid: str = "testbed-grid",
        cleanup: int = 300,
        case_sensitive: bool = True,
    ) -> None:
        self.folder, self.with_gmetad, self.cluster, self.grid = folder, gmetad, cluster, grid
        self.cleanup, self.case_sensitive = cleanup, case_sensitive
        self.conf = folder / "gmond.conf"
        self.address = ADDRESS
        self.gmond_port = self.gmetad_port = self.query_port = 0
        self._running: list[subprocess.Popen[bytes]] = []
        self._marks = 0

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Starts the daemons and returns when they answer; skips the test where they are not installed."""
        require_ganglia("gmond", "gmetric", *(["gmetad"] if self.with_gmetad else []))
        (self.folder / "rrds").mkdir(parents=True, exist_ok=True)
        self.gmond_port, self.gmetad_port, self.query_port = (_free_port() for _ in range(3))
        self.conf.write_text(GMOND.format(cluster=self.cluster, address=ADDRESS, port=self.gmond_port, cleanup=self.cleanup))
        try:
            self._spawn("gmond", "-f", "-c", str(self.conf))
            self._wait_until(lambda: _answers(self.gmond_port), "gmond")
            if self.with_gmetad:
                text = GMETAD.format(
                    cluster=self.cluster, grid=self.grid, address=ADDRESS, port=self.gmond_port, xml=self.gmetad_port,
                    query=self.query_port, rrds=self.folder / "rrds", case=int(self.case_sensitive),
                )  # fmt: skip
                (self.folder / "gmetad.conf").write_text(text)
                self._spawn("gmetad", "-d", "1", "-c", str(self.folder / "gmetad.conf"))  # -d 1: stays in the foreground
                self._wait_until(lambda: _answers(self.gmetad_port), "gmetad")
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Ends what ``start`` started; harmless when called again."""
        while self._running:
            process = self._running.pop()
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    # -- metrics ------------------------------------------------------------------------------------------------------

    def push(
        self, host: str, ip: str, name: str, value: object, type_: str = "string", *,
        units: str = "", slope: str = "both", tmax: int = 60, dmax: int = 0,
    ) -> None:  # fmt: skip
        """One metric of the spoofed host ``host``, whose address is ``ip``."""
        self._gmetric(
            "-S", f"{ip}:{host}", "-n", name, "-v", str(value), "-t", type_, "-u", units,
            "-s", slope, "-x", str(tmax), "-d", str(dmax),
        )  # fmt: skip

    def heartbeat(self, host: str, ip: str) -> None:
        """Keeps a spoofed host online without changing its metrics."""
        self._gmetric("-S", f"{ip}:{host}", "-H")

    def node(
        self, name: str, ip: str, *, memory_kb: int, cpus: int, vms: str = "", hypervisor: str = "xen-4.17", migration: str = "ssh",
        cpu_mhz: int | None = None, drivers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """The metrics of a physical host; ``vms`` as container.vms holds them, ``drivers`` further ``operation: driver``."""
        self.heartbeat(name, ip)
        self.push(name, ip, "container.mem_total", memory_kb, "uint32", units="KB", slope="zero")
        self.push(name, ip, "container.cpu_num", cpus, "uint16", slope="zero")
        self.push(name, ip, "container.type", hypervisor, slope="zero")
        for operation, driver in ({"migration": migration} | dict(drivers or {})).items():
            self.push(name, ip, f"container.driver.{operation}", driver, slope="zero")
        if cpu_mhz is not None:
            self.push(name, ip, "cpu_speed", cpu_mhz, "uint32", units="MHz", slope="zero")
        self.push(name, ip, "container.vms", vms, slope="zero")

    def vm(self, name: str, ip: str, *, memory_kb: float, cpus: int = 1, user: float = 0.0, nice: float = 0.0, system: float = 0.0) -> None:
        """The metrics of a VM, as a gmond inside would report them; ``user``, ``nice``, ``system`` in per cent of its CPUs."""
        self.heartbeat(name, ip)
        self.push(name, ip, "mem_total", memory_kb, "float", units="KB", slope="zero")
        self.push(name, ip, "cpu_num", cpus, "uint16", units="CPUs", slope="zero")
        for key, value in (("cpu_user", user), ("cpu_nice", nice), ("cpu_system", system)):
            self.push(name, ip, key, value, "float", units="%")

    # -- looking ------------------------------------------------------------------------------------------------------

    def xml(self, port: int | None = None) -> bytes:
        """What gmond (or the daemon on ``port``) serves now."""
        with socket.create_connection((ADDRESS, port or self.gmond_port), 10) as connection:
            parts = list(iter(lambda: connection.recv(1 << 16), b""))
        return b"".join(parts)

    def wait_for(self, text: str, *, port: int | None = None) -> bytes:
        """Waits until the XML (gmetad's if there is one, else gmond's) holds ``text``, and returns it."""
        port = port or (self.gmetad_port if self.with_gmetad else self.gmond_port)
        self._wait_until(lambda: text.encode() in self.xml(port), f"{text!r} in the XML of port {port}")
        return self.xml(port)

    def settle(self) -> None:
        """Waits until all that was pushed before is served, by gmetad too (which serves while it is still reading)."""
        for _ in range(2 if self.with_gmetad else 1):
            self._marks += 1
            self.push("testbed-marker", "127.0.99.99", "testbed.mark", f"mark-{self._marks}-")
            self.wait_for(f"mark-{self._marks}-")

    # -- inside -------------------------------------------------------------------------------------------------------

    def _spawn(self, program: str, *arguments: str) -> None:
        with (self.folder / f"{program}.log").open("wb") as log:
            self._running.append(
                subprocess.Popen([_program(program), *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            )

    def _gmetric(self, *arguments: str) -> None:
        done = subprocess.run([_program("gmetric"), "-c", str(self.conf), *arguments], capture_output=True, text=True, check=False)
        if done.returncode or done.stderr.strip():
            raise AssertionError(f"gmetric {arguments}: {done.stderr.strip() or done.returncode}")

    def _wait_until(self, true: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not true():
            dead = [p for p in self._running if p.poll() is not None]
            if dead or time.monotonic() > end:
                logs = "\n".join(f"{log.name}: {log.read_text(errors='replace')[-400:]}" for log in self.folder.glob("*.log"))
                raise AssertionError(f"waited in vain for {what} ({len(dead)} daemons ended)\n{logs}")
            time.sleep(0.02)


def _program(name: str) -> str:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") or ""


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((ADDRESS, port), 1) as connection:
            return bool(connection.recv(1))
    except OSError:
        return False


def _free_port() -> int:
    """A port that is free for TCP and for UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind((ADDRESS, 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind((ADDRESS, port))
            except OSError:
                continue
            return port
