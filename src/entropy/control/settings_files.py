"""Reads a configuration file in its syntax and turns whatever is wrong with it into an operator's sentence."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from entropy.control.original_keys import FAMILIES, MEANINGLESS, ORIGINAL, ORIGINAL_DEFAULTS, SOLVING_TIMES, converted
from entropy.control.settings import Settings
from entropy.formats.files import read_bytes
from entropy.model.errors import InputError
from entropy.model.values import InvalidValueError
from entropy.model.words import refused

__all__ = ["SEARCHED", "find_file", "known_keys", "read_settings"]

SEARCHED = ("config/entropy.toml", "config/entropy.yaml", "config/entropy.properties", "/etc/entropy/entropy.toml")
"""Where a configuration is looked for when neither ``-c`` nor ``ENTROPY_CONFIG`` names one."""

_MOST = 1 << 20
_SYNTAXES = ".toml, .yaml, .yml or .properties"
Path_ = tuple[str, ...]


def find_file(path: str | None, environ: Mapping[str, str]) -> Path:
    """``path``, else ``$ENTROPY_CONFIG``, else the first of ``SEARCHED`` that exists.  Raises ``InputError``."""
    named = path or environ.get("ENTROPY_CONFIG")
    if named:
        return Path(named)
    for candidate in SEARCHED:
        if Path(candidate).is_file():
            return Path(candidate)
    raise InputError(
        "no configuration found",
        where="-c",
        accepted=f"a file, $ENTROPY_CONFIG, or one of {', '.join(SEARCHED)}; `entropy init` makes one",
    )


def read_settings(path: str | None, environ: Mapping[str, str]) -> Settings:
    """See ``entropy.control.settings.load_settings``."""
    file = find_file(path, environ)
    where = str(file)
    leaves = dict(_flatten(_parse(file)))
    properties = file.suffix == ".properties"
    tree, written, warnings = _translate(leaves, where, properties)
    try:
        settings = Settings(**_by_field(tree, Settings))
    except ValidationError as problem:
        raise _explain(problem, where, written, environ) from problem
    return settings.placed(Path(os.path.abspath(file)), tuple(warnings))


# -- the three syntaxes -------------------------------------------------------------------------------------------


def _parse(file: Path) -> Mapping[str, Any]:
    where = str(file)
    readers = {".toml": _toml, ".yaml": _yaml, ".yml": _yaml, ".properties": _properties}
    reader = readers.get(file.suffix)
    if reader is None:
        raise InputError(f"{file.suffix or 'no extension'} is no syntax of a configuration", where=where, accepted=_SYNTAXES)
    try:
        raw = read_bytes(where, _MOST)
    except InputError as problem:
        if file.exists() and file.is_file() and not file.read_bytes().strip():
            return {}  # an empty configuration: every default
        raise problem
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise InputError(f"is not UTF-8 (byte {problem.start})", where=where, accepted="text in UTF-8") from problem
    tree = reader(text, where)
    if not isinstance(tree, dict):
        raise InputError("holds no mapping", where=where, accepted="keys and values")
    return tree


def _toml(text: str, where: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise InputError(f"is no TOML: {problem}", where=where) from problem


def _yaml(text: str, where: str) -> Any:
    from entropy.formats.documents import load_tree

    return load_tree(text.encode(), where if where.endswith((".yaml", ".yml")) else where + ".yaml") or {}


def _properties(text: str, where: str) -> Any:
    import javaproperties

    tree: dict[str, str] = {}
    try:
        for element in javaproperties.parse(text):
            if not isinstance(element, javaproperties.KeyValue):  # a comment, white space
                continue
            if element.key in tree:
                raise InputError("stands twice", where=where, path=element.key, accepted="each key once")
            tree[element.key] = element.value.strip()
    except javaproperties.InvalidUEscapeError as problem:
        raise InputError(f"is no .properties file: {problem}", where=where) from problem
    return tree


def _flatten(tree: Mapping[Any, Any], base: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    for key, value in tree.items():
        path = (*base, str(key))
        if isinstance(value, dict) and value:
            yield from _flatten(value, path)
        elif value is not None:
            yield path, value


# -- keys ---------------------------------------------------------------------------------------------------------


def _translate(leaves: Mapping[Path_, Any], where: str, properties: bool) -> tuple[dict[str, Any], dict[Path_, str], list[str]]:
    """Nested settings, the key as written for each place in them, and warnings."""
    placed: dict[Path_, Any] = {}
    written: dict[Path_, str] = {}
    warnings: list[str] = []
    times: dict[str, float] = {}

    def put(path: Path_, value: Any, key: str) -> None:
        if path in placed:
            raise InputError(f"says the same as {written[path]}", where=where, path=key, accepted="one of the two")
        placed[path], written[path] = value, key

    for path, value in leaves.items():
        key = ".".join(path)
        family = next((prefix for prefix in FAMILIES if key.startswith(prefix)), None)
        if reason := MEANINGLESS.get(key):
            warnings.append(f"{where}: {key} is ignored: {reason}")
        elif key in SOLVING_TIMES:
            times[key] = _seconds(value, where, key)
        elif family:
            put(tuple((FAMILIES[family] + key[len(family) :]).split(".", 1)), value, key)
        elif native := ORIGINAL.get(key):
            if value != "":  # `key =` in a .properties file: not set
                put(tuple(native.split(".")), _number(native, converted(key, value), where, key), key)
        elif (found := _native(path if len(path) > 1 else tuple(key.split(".")))) is not None:
            put(found, value, key)
        else:
            raise _unknown(key, where)
    if times:
        put(("loop", "timeLimit"), _solving_time(times), next(iter(times)))
    if properties:
        for native, value in ORIGINAL_DEFAULTS.items():
            placed.setdefault(tuple(native.split(".")), value)
    return _nest(placed, written, where), written, warnings


def _solving_time(times: Mapping[str, float]) -> float:
    """Sum of the limits of the latest generation given; a limit that is not given has its default."""
    generation = max(SOLVING_TIMES[key][0] for key in times)
    limits = {key: default for key, (of, default) in SOLVING_TIMES.items() if of == generation}
    return sum(times.get(key, default) for key, default in limits.items())


def _seconds(value: Any, where: str, key: str) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 < seconds <= 1e9:
        raise InputError(f"is {value!r}", where=where, path=key, accepted="a number of seconds above 0")
    return seconds


def _number(native: str, value: Any, where: str, key: str) -> Any:
    """A port is checked here, under the name that was written; everything else where its section is."""
    if native != "monitoring.ganglia.port":
        return value
    try:
        port = int(value)
    except (TypeError, ValueError):
        port = 0
    if not 0 < port < 65536:
        raise InputError(f"is {value!r}", where=where, path=key, accepted="a port, 1 to 65535")
    return port


def _native(path: Path_) -> Path_ | None:
    """``path`` if it is a key of ours, spelt as its alias; None if not."""
    model: type[BaseModel] = Settings
    found: list[str] = []
    for k, step in enumerate(path):
        fields = {info.alias or name: (name, info) for name, info in model.model_fields.items()}
        spelt = next((alias for alias, (name, _) in fields.items() if step in (alias, name)), None)
        if spelt is None:
            return (*found, *path[k:]) if model.model_config.get("extra") == "allow" and found else None
        found.append(spelt)
        kind = fields[spelt][1].annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            model = kind
        else:
            return (*found, *path[k + 1 :]) if k + 1 == len(path) or spelt == "durations" else None
    return tuple(found) if len(path) == len(found) else None


def known_keys() -> tuple[str, ...]:
    """Every key that can be set: ours, then the original's."""
    return (*_names(Settings), *ORIGINAL, *SOLVING_TIMES, *MEANINGLESS)


def _names(model: type[BaseModel], base: str = "") -> Iterator[str]:
    for name, info in model.model_fields.items():
        key = base + (info.alias or name)
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _names(kind, key + ".")
        else:
            yield key


def _unknown(key: str, where: str) -> InputError:
    return InputError("is no known key", where=where, path=key, accepted=nearest(key, known_keys()))


def nearest(key: str, names: Iterable[str]) -> str:
    """The known name that ``key`` was probably meant to be, for a message; the start of the list if none is near."""
    known = tuple(names)
    lower = {name.lower(): name for name in reversed(known)}
    near = difflib.get_close_matches(key.lower(), lower, n=1, cutoff=0.5)
    if not near:
        leaf = {name.rsplit(".", 1)[-1].lower(): name for name in reversed(known)}
        near = [leaf[k].lower() for k in difflib.get_close_matches(key.rsplit(".", 1)[-1].lower(), leaf, n=1, cutoff=0.6)]
    if near:
        return f"the nearest known key is {lower[near[0]]}"
    return ", ".join(known[:6]) + ", ... (all in docs/operating.md)"


def _nest(placed: Mapping[Path_, Any], written: Mapping[Path_, str], where: str) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in placed.items():
        here = tree
        for k, step in enumerate(path[:-1]):
            below = here.setdefault(step, {})
            if not isinstance(below, dict):
                key = written.get(path, ".".join(path))
                raise InputError(f"stands under {written[path[: k + 1]]}, which has a value of its own", where=where, path=key)
            here = below
        here[path[-1]] = value
    return tree


def _by_field(tree: Any, model: type[BaseModel]) -> Any:
    """Keys as the fields are called, which is how the environment's are, so that the two merge."""
    if not isinstance(tree, dict):
        return tree
    fields = {info.alias or name: (name, info.annotation) for name, info in model.model_fields.items()}
    found: dict[str, Any] = {}
    for key, value in tree.items():
        name, kind = fields.get(key, (key, None))
        found[name] = _by_field(value, kind) if isinstance(kind, type) and issubclass(kind, BaseModel) else value
    return found


# -- a failed validation, in an operator's words ------------------------------------------------------------------


def _explain(problem: ValidationError, where: str, written: Mapping[Path_, str], environ: Mapping[str, str]) -> InputError:
    error = problem.errors(include_url=False)[0]
    loc = tuple(str(step) for step in error["loc"])
    message, accepted = refused(error)
    if error["type"] == "extra_forbidden":
        accepted = nearest(".".join(loc), known_keys())
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, InvalidValueError):
        loc = (*loc, *(str(step) for step in cause.path))
        message, accepted = str(cause), cause.accepted
    loc = _native(loc) or loc
    variable = _variable(loc, environ)
    place = f"${variable}" if variable else where
    return InputError(message, where=place, path="" if variable else written.get(loc, ".".join(loc)), accepted=accepted)


def _variable(loc: Path_, environ: Mapping[str, str]) -> str | None:
    """The environment variable that sets ``loc``, if one does."""
    wanted = "ENTROPY_" + "__".join("".join(f"_{c}" if c.isupper() else c for c in step) for step in loc)
    return next((name for name in environ if name.upper() == wanted.upper()), None)
