"""Where instances come from, each under a name: what is generated here, the families that the peers were measured on, and outside data.

``generated FAMILY NODES SEED`` · ``family FAMILY NODESxVMS SEED`` · ``file NAME`` (below the folder of outside data) ·
``packing FILE`` · ``cloud NUMBER``.  Outside data is read from ``$ENTROPY_SHARED``, by default ``../shared`` beside the project.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from entropy.formats.documents import validate
from entropy.model.cluster import Cluster
from entropy.model.policy import Policy
from instances import Instance, make
from readers import vector_packing, vm_rescheduling

__all__ = ["load", "shared"]


def shared() -> Path | None:
    """The folder of outside data, if it is there."""
    folder = Path(os.environ.get("ENTROPY_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    return folder if folder.is_dir() else None


def load(name: str) -> Instance:
    """The instance of that name; raises ``FileNotFoundError`` when its data is not there."""
    kind, *words = name.split()
    if kind == "generated":
        return make(words[0], int(words[1]), int(words[2]))
    folder = shared()
    if folder is None:
        raise FileNotFoundError("no outside data: set ENTROPY_SHARED")
    match kind:
        case "family":
            return _family(folder, words)
        case "file":
            return _file(str(folder / "data" / words[0]))
        case "packing":
            return vector_packing.read(folder / "data" / "vector-packing" / " ".join(words))
        case "cloud":
            found = list(vm_rescheduling.read(next((folder / "data" / "vm-rescheduling").glob("*.json"))))
            return found[int(words[0])]
    raise ValueError(name)


def _family(folder: Path, words: list[str]) -> Instance:
    spec = importlib.util.spec_from_file_location("families", folder / "tools" / "families.py")
    assert spec is not None
    assert spec.loader is not None
    families = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(families)
    nodes, vms = (int(x) for x in words[1].split("x"))
    cluster, policy = families.entropy_documents(families.gen(words[0], nodes, vms, int(words[2])))
    return validate(cluster, Cluster), validate(policy, Policy)


def _file(path: str) -> Instance:
    from entropy.formats.load import load as read

    found = read(path, None)
    return found.cluster, found.policy or Policy()
