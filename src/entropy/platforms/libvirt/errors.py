"""libvirt's errors in an operator's words: what was tried, what libvirt said, its code, and what mends it."""

from __future__ import annotations

from entropy.model.errors import PlatformError
from entropy.platforms.libvirt.binding import libvirt

__all__ = ["explained", "said"]

_CURES = {
    libvirt.VIR_ERR_NO_DOMAIN: "no such domain is defined there; look with `virsh list --all` on that node",
    libvirt.VIR_ERR_OPERATION_INVALID: "the domain is not in a state that allows this; look with `virsh domstate --reason`",
    libvirt.VIR_ERR_AUTH_FAILED: "the manager's account may not use this libvirtd; check keys, SASL or polkit there",
    libvirt.VIR_ERR_AUTH_CANCELLED: "libvirtd asked for a login that nobody can type; use keys, certificates or polkit",
    libvirt.VIR_ERR_AUTH_UNAVAILABLE: "libvirtd asked for a login that nobody can type; use keys, certificates or polkit",
    libvirt.VIR_ERR_ACCESS_DENIED: "libvirtd's access control refuses it; allow the manager's account in its polkit rules",
    libvirt.VIR_ERR_OPERATION_DENIED: "the connection is read-only; check the uri",
    libvirt.VIR_ERR_NO_CONNECT: "the uri names no hypervisor that libvirt knows here; check drivers.libvirt.uri",
    libvirt.VIR_ERR_INVALID_ARG: "check drivers.libvirt.uri and migrateUri",
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED: "this host or hypervisor does not offer what the domain or the flags ask for",
    libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED: "this hypervisor does not know one of the migration options; see drivers.libvirt",
    libvirt.VIR_ERR_CPU_INCOMPATIBLE: "the destination lacks processor features of the guest; give the guest a model that "
    "all nodes have (`virsh hypervisor-cpu-baseline`)",
    libvirt.VIR_ERR_MIGRATE_UNSAFE: "a disk is not on storage that both nodes share, or is cached unsafely; put it there with "
    "cache='none', or set drivers.libvirt.unsafe if you know better",
    libvirt.VIR_ERR_OPERATION_ABORTED: "the job was aborted, by a timeout or by somebody else",
    libvirt.VIR_ERR_OPERATION_TIMEOUT: "another operation holds the domain; look with `virsh domjobinfo`",
    libvirt.VIR_ERR_MIGRATE_PERSIST_FAILED: "the guest has arrived but its definition could not be stored there; define it",
    libvirt.VIR_ERR_NO_SUPPORT: "this hypervisor's libvirt driver does not offer it",
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED: "this hypervisor does not offer it",
    libvirt.VIR_ERR_GNUTLS_ERROR: "check the certificates of both hosts (virt-pki-validate)",
    libvirt.VIR_ERR_HOOK_SCRIPT_FAILED: "a hook of that node refused it; see /etc/libvirt/hooks there",
}  # fmt: skip
_HINTS = (
    ("same host", "two node names lead to one libvirtd; check drivers.libvirt.nodes and the nodes' addresses"),
    ("Host key verification failed", "put the node's key into the manager's ~/.ssh/known_hosts, after comparing its fingerprint"),
    ("Permission denied", "the manager's ssh key is not accepted there; add it to authorized_keys of the account in the uri"),
    ("Failed to connect socket", "is the node up, and its libvirtd?"),
    ("unable to connect to server", "is libvirtd (or virtproxyd) up there, and its port open?"),
    ("Cannot recv data", "the connection broke; is the node up, and its libvirtd? Can the manager log in by ssh?"),
    ("client socket is closed", "the connection broke in the middle; is the node up, and its libvirtd?"),
    ("End of file while reading data", "the connection broke in the middle; is the node up, and its libvirtd?"),
    ("No route to host", "is the node up, and in the same network?"),
    ("Name or service not known", "the name does not resolve; set drivers.libvirt.nodes.<node>.address"),
    ("Temporary failure in name resolution", "the name does not resolve; set drivers.libvirt.nodes.<node>.address"),
)


def said(error: Exception) -> str:
    """What libvirt said, on one line."""
    return " ".join(str(error).split())


def explained(error: Exception, doing: str) -> PlatformError:
    """``error``, a ``libvirtError``, as ``PlatformError``; ``doing`` is what was tried (``node n1: cannot start web-1``)."""
    code = error.get_error_code() if isinstance(error, libvirt.libvirtError) else None
    text = said(error)
    cure = next((hint for phrase, hint in _HINTS if phrase in text), None) or _CURES.get(code, "see libvirtd's log there")
    return PlatformError(f"{doing}: {text} (libvirt error {code}); {cure}")
