"""``entropy init``: a distribution folder laid out as the original's."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from entropy.model.errors import InputError

__all__ = ["Layout", "lay_out"]

FILES = {
    "bin/controlLoop.sh": ("controlLoop.sh", 0o755),
    "config/entropy.properties": ("entropy.properties", 0o644),
    "config/entropy.toml.example": ("entropy.toml", 0o644),
    "config/policy.yaml": ("policy.yaml", 0o644),
    "config/entropy.service": ("entropy.service", 0o644),
}
"""Place in the folder -> template of this package, and its mode."""
FOLDERS = ("bin", "config", "logs", "vjobs")


@dataclass(frozen=True)
class Layout:
    """What was made and what was there already."""

    directory: Path
    made: tuple[str, ...]
    kept: tuple[str, ...]

    def lines(self) -> tuple[str, ...]:
        """For people."""
        lines = [f"made {self.directory / name}" for name in self.made]
        lines += [f"kept {self.directory / name} as it is: it exists" for name in self.kept]
        start = self.directory / "bin/controlLoop.sh"
        return (*lines, f"Next: set gmetad.host in {self.directory / 'config/entropy.properties'}, `{start} check`, then `{start} start`.")


def lay_out(directory: str) -> Layout:
    """Make the folder.  Never overwrites a file; raises ``InputError`` where something cannot be made."""
    root = Path(directory).absolute()
    made: list[str] = []
    kept: list[str] = []
    try:
        for folder in FOLDERS:
            (root / folder).mkdir(parents=True, exist_ok=True)
        for name, (template, mode) in FILES.items():
            text = (files("entropy.control.distribution") / template).read_text(encoding="utf-8")
            (made if _create(root / name, text.replace("@HOME@", str(root)).replace("@ENTROPY@", _command()), mode) else kept).append(name)
    except OSError as problem:
        raise InputError(
            f"cannot be made: {problem.strerror or problem}",
            where=str(problem.filename or root),
            accepted="a folder that can be written to",
        ) from problem
    return Layout(root, tuple(made), tuple(kept))


def _create(path: Path, text: str, mode: int) -> bool:
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        return False
    path.chmod(mode)
    return True


def _command() -> str:
    """The ``entropy`` of this installation, so that a launcher works without its folder in ``PATH``."""
    beside = Path(sys.executable).with_name("entropy")
    return str(beside) if beside.is_file() else shutil.which("entropy") or "entropy"
