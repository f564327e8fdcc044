"""What a platform must offer: an adapter to observe a cluster, a driver to act on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from entropy.model.cluster import VM, Cluster

__all__ = ["ConfigurationAdapter", "Driver", "Endpoint", "Observation", "Probe"]


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One look at the cluster, with what the adapter had to leave out or could not trust, one sentence each."""

    cluster: Cluster
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One answer of ``entropy check``: what was asked, ``ok`` (``None``: cannot be asked), and how to mend it."""

    question: str
    ok: bool | None
    detail: str = ""
    mend: str = ""


class ConfigurationAdapter(ABC):
    """Observes a cluster through a monitoring system.  Registered under the entry-point group ``entropy.adapters``."""

    recall: Callable[[str], VM | None] = staticmethod(lambda _name: None)
    """Asked for a VM as it was last known (a sleeping VM's own monitor is silent); the control loop points it at the journal."""

    @classmethod
    @abstractmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Built from the adapter's own part of the configuration.  Raises ``InputError`` naming the key."""

    @abstractmethod
    async def observe(self) -> Observation:
        """The cluster now.  Raises ``PlatformError`` when monitoring cannot be reached or believed; never a partial cluster
        passed off as a whole one."""

    async def probe(self) -> tuple[Probe, ...]:
        """Answers for ``entropy check``."""
        return ()

    async def close(self) -> None:
        """Let go of connections."""
        return


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A node as a driver addresses it: its name and its labels (``driver.migration``, ``address``, ...)."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)


class Driver(ABC):
    """Acts on hypervisors.  Registered under the entry-point group ``entropy.drivers``.

    Every operation returns when the hypervisor says it is done and raises ``PlatformError`` when it says it failed; neither
    is the outcome, which is what is observed afterwards.  Operations may be cancelled (a timeout): a driver then asks the
    hypervisor to give up where it can.  An operation that a driver does not offer raises ``PlatformError`` saying so.
    """

    @classmethod
    @abstractmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Built from the driver's own part of the configuration.  Raises ``InputError`` naming the key."""

    def offers(self, operation: str) -> bool:
        """Can this driver do that operation (``migrate``, ``run``, ..., ``shutdown``) at all?  By default: what its class defines."""
        return getattr(type(self), operation) is not getattr(Driver, operation)

    @abstractmethod
    async def migrate(self, vm: str, source: Endpoint, target: Endpoint) -> None:
        """Move a running VM, live."""

    @abstractmethod
    async def run(self, vm: str, node: Endpoint) -> None:
        """Start a ready VM."""

    @abstractmethod
    async def stop(self, vm: str, node: Endpoint) -> None:
        """Stop a running VM, or discard the image of a sleeping one."""

    @abstractmethod
    async def suspend(self, vm: str, node: Endpoint) -> None:
        """Save a running VM's memory to an image and free its resources."""

    @abstractmethod
    async def resume(self, vm: str, source: Endpoint, target: Endpoint) -> None:
        """Run a sleeping VM on ``target`` from its image on ``source``."""

    async def startup(self, node: Endpoint) -> None:
        """Switch a node on."""
        raise _not_offered(self, "start nodes")

    async def shutdown(self, node: Endpoint) -> None:
        """Switch a node off."""
        raise _not_offered(self, "shut nodes down")

    async def busy(self, vm: str, node: Endpoint) -> bool | None:
        """Is an operation on this VM under way at this node?  ``None``: this driver cannot tell."""
        return None

    async def probe(self, nodes: tuple[Endpoint, ...]) -> tuple[Probe, ...]:
        """Answers for ``entropy check``: reachable, CPU compatibility, shared storage, live migration accepted."""
        return ()

    async def close(self) -> None:
        """Let go of connections."""
        return


def _not_offered(driver: Driver, what: str) -> Exception:
    from entropy.model.errors import PlatformError

    return PlatformError(f"the driver {type(driver).__name__} cannot {what}")
