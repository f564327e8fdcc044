"""Real libvirt hosts on this machine, with QEMU guests that migrate live between them: a testbed for ``real`` tests.

    with LibvirtTestbed(3) as bed:                  # skips the test, saying why, where packages or root are missing
        bed.define("web-1", on=1, memory=64)        # a guest of one boot sector: up in under a second, needs no KVM
        bed.start("web-1")
        bed.uri(2)                                  # host 2, for libvirt.open() and virsh, from this process
        bed.migrate_uri(2)                          # host 2, as the other hosts address it
        bed.where("web-1")                          # -> [1]: the hosts on which it runs, asked of libvirt itself
        bed.press("web-1", "b")                     # make it busy
        bed.make_heavy("web-1")                     # its next migration, capped at 1 MiB/s, takes half a minute
        bed.kill_host(2); bed.start_host(2)         # a power cut; the defined guests are there again, shut off

Hosts are numbered from 1 and called ``node1``, ``node2``, ...; each has namespaces of its own (network, mounts, host name,
processes), its own libvirtd and its own state.  Guests' disks and the folder of managed save images are shared.  Nothing
is added to the machine's own network, names or users, so any number of testbeds may be up at once; all of it lives in one
process namespace that ends with ``close()`` or with the process that made it, however that ends.

Guests run under TCG.  All hosts share this machine's processors and ``getInfo()`` of a host is the whole machine's:
capacities must come from the test's own configuration.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

__all__ = ["LibvirtTestbed", "require", "until"]

PACKAGES = "libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients qemu-system-x86 iproute2"
_SCRIPT = Path(__file__).with_name("libvirt-host.sh")
_NETWORK = "192.0.2"  # a documentation range, seen only inside the testbed
_UP_WITHIN = 60.0  # seconds

# The guest, in 16-bit code; it runs under SeaBIOS, so it needs no kernel and no driver.  Once a second it writes its mode
# letter to its console (a heartbeat that goes on in the same file across migrations), obeys keys, and the power button.
_GUEST = """
fa31c08ed88ed0bc007c        # cli; ds = ss = 0; sp = 0x7c00
b36931f6bd0010              # bl = 'i' (mode); si = 0 (last beat); bp = 0x1000
ba0206b80001ef              # out 0x602, 0x100: enable the power button's event
fb                          # sti
b401cd167406                # loop: int 16h/1: no key waiting? skip
30e4cd1688c3                #   int 16h/0: bl = the key's ASCII code
ba0006edf6c4017407          #   in 0x600: power button not pressed? skip
ba0406b80020ef              #   out 0x604, 0x2000: power off (ACPI S5)
a16c0489c129f183f9127208    #   fewer than 18 BIOS ticks since the last beat? skip
89c6baf80388d8ee            #   last beat = now; out COM1, bl
80fb6274cb                  #   'b': next turn at once
80fb647408                  #   'd': go to dirty
80fb66741d                  #   'f': go to fill
f4ebbe                      #   else: hlt until the next interrupt; loop
8ec531c94931ff89f0f3aa      # dirty: fill the 64 KiB at segment bp
81c5001081fd009072a9        #   bp += 0x1000; below 0x9000: loop
bd0010eba4                  #   bp = 0x1000; loop
fa0f0116a67c                # fill: cli; lgdt
0f20c0400f22c0              #   eax = cr0 with protected mode; cr0 = eax
b908008ec1480f22c0          #   es = selector 8, whose limit is 4 GiB; back to real mode
31c98ec1                    #   es = 0; the limit stays
66bf0000100066b900006000    #   edi = 1 MiB; ecx = 24 MiB / 4
406766f3abb36d              #   store eax, which is not 0; bl = 'm'
fbe973ff                    #   sti; loop
0f00ac7c0000                # gdtr: 16 bytes at 0x7cac
0000000000000000ffff00000092cf00  # gdt: null; a data segment from 0, 4 GiB
"""
_KEYS = {"i": 23, "b": 48, "d": 32, "f": 33}  # Linux key codes


def require() -> None:
    """Skip the running test, saying why and how to mend it, where this machine cannot carry the testbed."""
    if os.geteuid() != 0:
        pytest.skip("the libvirt testbed needs root (network and mount namespaces)")
    programs = ("libvirtd", "virsh", "qemu-system-x86_64", "ip", "unshare", "nsenter")
    if missing := [p for p in programs if shutil.which(p, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None]:
        pytest.skip(f"{', '.join(missing)} missing: apt-get install --no-install-recommends {PACKAGES}")
    pytest.importorskip("libvirt", reason="libvirt-python missing: pip install 'entropy-manager[libvirt]'")


class LibvirtTestbed:
    """``count`` libvirt hosts.  A context manager; ``close()`` does the same as leaving it."""

    def __init__(self, count: int) -> None:
        require()
        self.hosts = tuple(range(1, count + 1))
        # Short: a Unix socket's path has at most 107 characters.
        self.work = Path(tempfile.mkdtemp(prefix="lvbed-", dir="/tmp"))
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._inits: dict[int, int] = {}
        self._connections: dict[int, Any] = {}
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    # -- what is where ---------------------------------------------------------------------------------------------

    def name(self, host: int) -> str:
        """The host's name, ``node1`` for host 1."""
        return f"node{host}"

    def address(self, host: int) -> str:
        """The host's address; only the hosts themselves can reach it."""
        return f"{_NETWORK}.{host}"

    def uri(self, host: int) -> str:
        """The libvirt URI of a host, usable from this process and its children (a Unix socket)."""
        return f"qemu+unix:///system?socket={self._dir(host)}/run/libvirt/libvirt-sock"

    def migrate_uri(self, host: int) -> str:
        """The libvirt URI of a host as the other hosts use it for peer-to-peer migrations."""
        return f"qemu+tcp://{self.address(host)}/system"

    def driver_settings(self) -> dict[str, Any]:
        """Settings with which the libvirt driver manages these hosts under their names."""
        return {"nodes": {self.name(h): {"uri": self.uri(h), "migrate_uri": self.migrate_uri(h)} for h in self.hosts}}

    def where(self, vm: str) -> list[int]:
        """The hosts on which the guest runs (two for an instant while it migrates), asked of each living libvirtd."""
        return [h for h in self.alive if vm in {d.name() for d in self.connection(h).listAllDomains(1)}]

    def sleeping(self, vm: str) -> list[int]:
        """The hosts on which the guest is defined, does not run, and has a managed save image."""
        return [
            h
            for h in self.alive
            for d in self.connection(h).listAllDomains(2)
            if d.name() == vm and d.hasManagedSaveImage()
        ]  # fmt: skip

    def defined(self, vm: str) -> list[int]:
        """The hosts that know the guest, running or not."""
        return [h for h in self.alive if vm in {d.name() for d in self.connection(h).listAllDomains()}]

    @property
    def alive(self) -> tuple[int, ...]:
        """The hosts that have not been killed."""
        return tuple(h for h in self.hosts if h in self._inits)

    def connection(self, host: int) -> Any:
        """A libvirt connection of the testbed's own to a host."""
        import libvirt

        if host not in self._connections:
            libvirt.registerErrorHandler(lambda _context, _error: None, None)  # it would print every error
            self._connections[host] = libvirt.open(self.uri(host))
        return self._connections[host]

    def domain(self, vm: str, host: int | None = None) -> Any:
        """The libvirt domain of a guest on ``host``, by default on the one host that knows it."""
        known = [host] if host is not None else self.where(vm) or self.defined(vm)
        if len(known) != 1:
            raise LookupError(f"{vm} is on the hosts {known}, not on exactly one")
        return self.connection(known[0]).lookupByName(vm)

    def heartbeats(self, vm: str) -> str:
        """What the guest has written so far: its mode's letter, once a second."""
        log = self.work / "console" / f"{vm}.log"
        return log.read_text(errors="replace") if log.exists() else ""

    # -- what a test does to it ------------------------------------------------------------------------------------

    def define(self, vm: str, on: int, memory: int = 64, vcpus: int = 1) -> None:
        """Make a guest known to a host; ``memory`` in MiB."""
        self.connection(on).defineXML(self.definition(vm, memory, vcpus))

    def start(self, vm: str, on: int | None = None) -> None:
        """Start a guest that is defined on one host (or on the host ``on``), and see its first heartbeat."""
        self.domain(vm, on).create()
        until(lambda: self.heartbeats(vm), f"{vm} to write its first heartbeat")

    def press(self, vm: str, key: str) -> None:
        """Press a key of a running guest: ``i`` idle, ``b`` busy, ``d`` busy and writing 512 KiB over and over, ``f`` fill
        24 MiB of memory, then idle with the mode letter ``m``."""
        self.domain(vm).sendKey(0, 100, [_KEYS[key]], 1, 0)

    def make_heavy(self, vm: str) -> None:
        """Give a running guest 24 MiB that a migration has to carry: half a minute when capped at 1 MiB/s.

        Untouched pages cost nothing; and QEMU's TCG loses track of pages that are written again and again, so that
        dirtying memory does not prolong a migration here.
        """
        self.press(vm, "f")
        until(lambda: "m" in self.heartbeats(vm), f"{vm} to fill its memory")

    def remove(self, vm: str) -> None:
        """Let no trace of a guest be left, whatever its state, on any living host."""
        for host in self.defined(vm):
            domain = self.connection(host).lookupByName(vm)
            if domain.isActive():
                domain.destroy()
            domain.undefineFlags(1)  # with its managed save image
        (self.work / "console" / f"{vm}.log").unlink(missing_ok=True)

    def kill_host(self, host: int) -> None:
        """Cut the host's power: its libvirtd and its guests end at once, and no other."""
        os.kill(self._inits.pop(host), signal.SIGKILL)
        process = self._processes.pop(host)
        process.wait()
        _close_pipes(process)
        self._forget(host)
        # The kernel lets go of a network namespace when it likes; its cable is pulled now.
        subprocess.run([*self._in_switch(), "ip", "link", "del", f"p{host}"], capture_output=True, env=_environment())

    def start_host(self, host: int) -> None:
        """Switch a host on (again) and wait for its libvirtd."""
        self._launch(host)
        self._await(host)

    def run(self, host: int, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command inside a host's namespaces (its network, its /run, its processes) and return its output."""
        inside = ["nsenter", "-t", str(self._inits[host]), "-n", "-m", "-u", "-i", "-p", "--", *command]
        return subprocess.run(inside, check=True, capture_output=True, text=True, env=_environment())

    def close(self) -> None:
        """End everything and remove its files."""
        for host in tuple(self._connections):
            self._forget(host)
        if (switch := self._processes.get(0)) is not None:
            if 0 in self._inits:
                os.kill(self._inits[0], signal.SIGKILL)  # takes the process namespace, and so every host, with it
            else:
                switch.kill()
        for process in self._processes.values():
            process.wait()
            _close_pipes(process)
        self._processes.clear()
        self._inits.clear()
        shutil.rmtree(self.work, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # -- how it is built -------------------------------------------------------------------------------------------

    def _in_switch(self) -> list[str]:
        return ["nsenter", "-t", str(self._inits[0]), "-n", "--"]

    def _dir(self, host: int) -> Path:
        return self.work / f"h{host}"

    def definition(self, vm: str, memory: int = 64, vcpus: int = 1) -> str:
        """The guest's libvirt XML."""
        return f"""<domain type='qemu'>
  <name>{vm}</name><memory unit='MiB'>{memory}</memory><vcpu>{vcpus}</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os>
  <features><acpi/></features><clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff><on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='{self.work}/guests/boot.img'/><target dev='vda' bus='virtio'/><readonly/>
    </disk>
    <controller type='usb' model='none'/>
    <serial type='file'><source path='{self.work}/console/{vm}.log' append='on'/></serial>
    <memballoon model='virtio'/>
  </devices>
</domain>"""

    def _build(self) -> None:
        for folder in ("guests", "console", "save"):
            (self.work / folder).mkdir()
        code = bytes.fromhex("".join(line.split("#")[0].strip() for line in _GUEST.splitlines()))
        (self.work / "guests" / "boot.img").write_bytes((code.ljust(510, b"\0") + b"\x55\xaa").ljust(1 << 20, b"\0"))
        self._spawn(0, [], ["switch", f"{_NETWORK}.254"])
        for host in self.hosts:
            self._configure(host)
        # Probing QEMU's capabilities takes libvirtd seconds of processor time: the first host's result serves all.
        first, *others = self.hosts
        self.start_host(first)
        self.connection(first).getDomainCapabilities()
        for host in others:
            shutil.copytree(self._dir(first) / "cache" / "qemu", self._dir(host) / "cache" / "qemu")
            self._launch(host)
        for host in others:
            self._await(host)

    def _configure(self, host: int) -> None:
        folder, address = self._dir(host), self.address(host)
        for part in ("etc", "lib", "cache", "log"):
            (folder / part).mkdir(parents=True)
        _write(
            folder / "etc" / "libvirtd.conf",
            {
                "listen_tls": 0,
                "listen_tcp": 1,
                "listen_addr": address,
                "auth_tcp": "none",
                "auth_unix_ro": "none",
                "auth_unix_rw": "none",
                "unix_sock_rw_perms": "0700",
                "host_uuid": f"0e000000-0000-4000-8000-{host:012d}",
                "log_level": 3,
                "log_outputs": "3:file:/var/log/libvirt/libvirtd.log",
            },
        )
        _write(
            folder / "etc" / "qemu.conf",
            {
                "user": "root",
                "group": "root",
                "dynamic_ownership": 0,
                "remember_owner": 0,
                "security_driver": "none",
                "cgroup_controllers": [],  # the hosts share one kernel: cgroups named after guests would clash
                "namespaces": [],  # no private /dev for QEMU
                "stdio_handler": "file",  # no virtlogd
                "migration_address": address,
                "migration_host": address,  # no name look-up for the data
                "max_core": 0,
            },
        )
        (folder / "etc" / "libvirt.conf").touch()
        names = "".join(f"{self.address(h)} {self.name(h)}\n" for h in self.hosts)
        (folder / "hosts").write_text(f"127.0.0.1 localhost\n{names}")
        for file, line in (
            ("passwd", "libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin"),
            ("group", "libvirt-qemu:x:64055:"),
        ):
            known = [entry for entry in Path("/etc", file).read_text().splitlines() if not entry.startswith("libvirt-qemu:")]
            (folder / file).write_text("\n".join([*known, line, ""]))

    def _launch(self, host: int) -> None:
        folder = self._dir(host)
        shutil.rmtree(folder / "run", ignore_errors=True)
        (folder / "run" / "libvirt").mkdir(parents=True)
        join = ["nsenter", "-t", str(self._inits[0]), "-p", "--"]
        self._spawn(host, join, ["host", str(folder), self.name(host), self.address(host)])
        end, card = f"p{host}", ["type", "veth", "peer", "name", "eth0"]
        # Its card keeps its number across power cuts, as a machine's does: the others remember it for half a minute.
        card += ["address", f"02:00:00:00:00:{host:02x}", "netns", str(self._inits[host])]
        subprocess.run(["ip", "link", "add", end, "netns", str(self._inits[0]), *card], check=True, env=_environment())
        subprocess.run([*self._in_switch(), "ip", "link", "set", end, "master", "br0", "up"], check=True, env=_environment())
        stdin = self._processes[host].stdin
        assert stdin is not None
        stdin.write(b"go\n")
        stdin.flush()

    def _spawn(self, key: int, join: Sequence[str], role: Sequence[str]) -> None:
        command = [*join, "unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]
        command += ["--propagation", "private", "bash", str(_SCRIPT), *role]
        log = (self.work / "spawn.log").open("ab")
        with log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=_environment(), start_new_session=True
            )
        self._processes[key] = process
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the testbed's {role[0]} did not start:\n{(self.work / 'spawn.log').read_text()}")
        pid = process.pid
        while Path(f"/proc/{pid}/comm").read_text().strip() != "bash":  # nsenter and unshare are its parents
            (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            pid = int(child)
        self._inits[key] = pid

    def _await(self, host: int) -> None:
        import libvirt

        def up() -> bool:
            if self._processes[host].poll() is not None:
                raise RuntimeError(f"host {host} ended at its start:\n{_logs(self._dir(host))}")
            try:
                return bool(self.connection(host).getVersion())
            except libvirt.libvirtError:
                self._forget(host)
                return False

        until(up, f"host {host} to come up (see {self._dir(host)}/log)", within=_UP_WITHIN)

    def _forget(self, host: int) -> None:
        import libvirt

        connection = self._connections.pop(host, None)
        if connection is not None:
            try:
                connection.close()
            except libvirt.libvirtError:
                return


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def until(condition: Callable[[], object], what: str, within: float = 20.0) -> None:
    """Wait until ``condition()`` is true.  Raises ``TimeoutError`` naming what was waited for, after ``within`` seconds."""
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {within:g} s for {what}")
        time.sleep(0.05)


def _write(file: Path, settings: Mapping[str, object]) -> None:
    def shown(value: object) -> str:
        return f'"{value}"' if isinstance(value, str) else str(value)

    file.write_text("".join(f"{key} = {shown(value)}\n" for key, value in settings.items()))


def _logs(folder: Path) -> str:
    return "\n".join(file.read_text(errors="replace")[-2000:] for file in sorted((folder / "log").glob("*.log")))


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}
