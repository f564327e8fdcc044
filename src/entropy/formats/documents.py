"""``entropy/v1`` documents: read, validate, write, digest; one place turns a failed validation into an operator's sentence.

JSON is read by orjson, YAML by PyYAML's C loader.  A 30,000-VM cluster takes a fraction of a second as JSON and some
seconds as YAML: large clusters belong in JSON.
"""

from __future__ import annotations

import hashlib
import reprlib
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any, Literal, TypeVar

import orjson
from pydantic import ValidationError

from entropy.formats.files import read_bytes, write_bytes
from entropy.formats.trees import adapter, tree_of, trees_of_vms
from entropy.model.cluster import Cluster
from entropy.model.collector import collector_paused
from entropy.model.errors import InputError
from entropy.model.plan import Plan
from entropy.model.policy import Policy
from entropy.model.values import InvalidValueError

__all__ = [
    "API_VERSION", "KINDS", "Kind", "Syntax", "digest", "dump", "json_schema", "load_tree", "parse",
    "read", "read_any", "syntax_of", "to_tree", "validate", "write",
]  # fmt: skip

API_VERSION = "entropy/v1"
Kind = Literal["Cluster", "Policy", "Plan"]
Syntax = Literal["json", "yaml"]
Document = Cluster | Policy | Plan
D = TypeVar("D", Cluster, Policy, Plan)
KINDS: Mapping[str, type[Cluster | Policy | Plan]] = {"Cluster": Cluster, "Policy": Policy, "Plan": Plan}


def read(path: str, cls: type[D]) -> D:
    """The document of class ``cls`` in the file ``path`` (``-``: standard input).

    Raises ``InputError`` with file, path in the document, the offending value and what is accepted.
    """
    return parse(read_bytes(path), cls, where=path)


def parse(raw: bytes, cls: type[D], *, where: str = "-") -> D:
    """Like ``read``, from bytes; the syntax is told by the extension of ``where``, or by the content."""
    return validate(load_tree(raw, where), cls, where=where)


def read_any(path: str) -> Document:
    """The document in ``path``, of whatever kind it says."""
    tree = load_tree(read_bytes(path), path)
    kind = _kind(tree, path)
    document: Document = _validate(tree, KINDS[kind], path)
    return document


@collector_paused()
def load_tree(raw: bytes, where: str) -> Any:
    """Parsed JSON or YAML.  Raises ``InputError`` with line and column."""
    if _reads_as_json(raw, where):
        try:
            tree = orjson.loads(raw)
        except orjson.JSONDecodeError as problem:
            raise InputError(
                f"is no JSON: {problem.msg}", where=f"{where}:{problem.lineno}:{problem.colno}", accepted="a whole JSON document"
            ) from problem
        _refuse_key_twice(raw, tree, where)
        return tree
    return _load_yaml(raw, where)


def _refuse_key_twice(raw: bytes, tree: Any, where: str) -> None:
    """Of two values for one key JSON readers keep the last in silence, and nobody knows which one was meant.

    A key that got lost took its colon with it, which is quick to see; only then is the key looked for.
    """
    try:
        if raw.count(b":") == orjson.dumps(tree).count(b":"):
            return
    except orjson.JSONEncodeError as problem:
        raise InputError("is no document: nested too deeply", where=where, accepted="a few levels") from problem
    import json

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            name = f" of {_shown(found['name'])}" if isinstance(found.get("name"), str) else ""
            raise InputError(f"the key {_shown(key)}{name} stands twice", where=where, accepted="each key once")
        return found

    json.loads(raw, object_pairs_hook=once)


def _reads_as_json(raw: bytes, where: str) -> bool:
    if where.removesuffix(".gz").endswith(".json"):
        return True
    return not _named_yaml(where) and raw.lstrip()[:1] in (b"{", b"[")


def _load_yaml(raw: bytes, where: str) -> Any:
    import yaml  # here: a JSON run does not pay for it

    try:
        return yaml.load(raw, Loader=_yaml_loader())  # noqa: S506 - a safe loader, C or Python
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
        raise InputError(f"is no YAML: {problem.problem or problem.context}", where=place, accepted="a YAML document") from problem
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, OverflowError, RecursionError) as problem:
        text = str(problem).splitlines()[0] if str(problem) else "nested too deeply"
        raise InputError(f"is no YAML: {text}", where=where, accepted="a YAML document") from problem


@cache
def _yaml_loader() -> type[Any]:
    """A safe loader that refuses a key that stands twice, and counts depth: the C loader composes by recursion and brings the process
    down some 10,000 levels deep."""
    import yaml

    base: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        depth = 0

        def descend_resolver(self, current_node: Any, current_index: Any) -> None:
            self.depth += 1
            if self.depth > _MOST_LEVELS:
                raise RecursionError(f"nested more than {_MOST_LEVELS} levels deep")
            super().descend_resolver(current_node, current_index)

        def ascend_resolver(self) -> None:
            self.depth -= 1
            super().ascend_resolver()

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen: set[tuple[str, Any]] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                    if (key.tag, key.value) in seen:
                        raise yaml.constructor.ConstructorError(None, None, f"the key {_shown(key.value)} stands twice", key.start_mark)
                    seen.add((key.tag, key.value))
            return super().construct_mapping(node, deep)

    return Loader


_MOST_LEVELS = 64
"""Far more levels than any document has."""


def _kind(tree: Any, where: str) -> str:
    if not isinstance(tree, dict):
        raise InputError(f"holds {_shown(tree)}, no document", where=where, accepted="a mapping with apiVersion and kind")
    if (version := tree.get("apiVersion")) != API_VERSION:
        raise InputError(f"is {_shown(version)}" if version else "is missing", where=where, path="apiVersion", accepted=API_VERSION)
    kind = tree.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(f"is {_shown(kind)}" if kind else "is missing", where=where, path="kind", accepted=", ".join(KINDS))
    return kind


def validate(tree: Any, cls: type[D], *, where: str = "-") -> D:
    """A parsed tree as a value.  Raises ``InputError``."""
    document: D = _validate(tree, cls, where)
    return document


@collector_paused()
def _validate(tree: Any, cls: type[Document], where: str) -> Any:
    if _kind(tree, where) != cls.__name__:
        raise InputError(f"is {tree['kind']}", where=where, path="kind", accepted=cls.__name__)
    body = {key: value for key, value in tree.items() if key not in ("apiVersion", "kind")}
    try:
        return adapter(cls).validate_python(body)
    except ValidationError as problem:
        raise _explain(problem, body, where) from problem


@collector_paused()
def to_tree(document: Document) -> dict[str, Any]:
    """The document as plain data, defaults left out, whole numbers as integers."""
    return {"apiVersion": API_VERSION, "kind": type(document).__name__} | tree_of(document)


def syntax_of(path: str) -> Syntax:
    """The syntax that a file's extension names; JSON if it names none."""
    return "yaml" if _named_yaml(path) else "json"


def _named_yaml(path: str) -> bool:
    return path.removesuffix(".gz").endswith((".yaml", ".yml"))


def dump(document: Document, syntax: Syntax = "json") -> bytes:
    """The document's text, ending in a newline."""
    tree = to_tree(document)
    if syntax == "json":
        return orjson.dumps(tree, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: bytes = yaml.dump(tree, Dumper=dumper, sort_keys=False, allow_unicode=True, encoding="utf-8", default_flow_style=None, width=140)
    return text


def write(document: Document, path: str) -> None:
    """Write to ``path`` at once or not at all, in the syntax that its extension names.  Raises ``InputError``."""
    write_bytes(path, dump(document, syntax_of(path)))


_PART = 4096
"""VMs at a time: their plain data takes ten times the room of the text."""


@collector_paused()
def digest(cluster: Cluster) -> str:
    """``sha256:`` of the Cluster document's canonical JSON: defaults left out, keys sorted, no white space."""
    tree = {"apiVersion": API_VERSION, "kind": "Cluster"} | tree_of(cluster, but=("vms",))
    found = hashlib.sha256(orjson.dumps(tree, option=orjson.OPT_SORT_KEYS).removesuffix(b"}") + b',"vms":[')  # the last key
    for k in range(0, len(cluster.vms), _PART):
        part = orjson.dumps(trees_of_vms(cluster.vms[k : k + _PART]), option=orjson.OPT_SORT_KEYS)
        found.update((b"," if k else b"") + part[1:-1])
    found.update(b"]}")
    return "sha256:" + found.hexdigest()


def json_schema(kind: str) -> dict[str, Any]:
    """JSON Schema of a document kind.  Raises ``InputError`` on an unknown kind."""
    if kind not in KINDS:
        raise InputError(f"{kind!r} is no kind of document", accepted=", ".join(KINDS))
    schema = adapter(KINDS[kind]).json_schema(by_alias=True)
    head = {"apiVersion": {"const": API_VERSION}, "kind": {"const": kind}}
    schema["properties"] = head | schema["properties"]
    schema["required"] = ["apiVersion", "kind", *schema.get("required", [])]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": f"{API_VERSION} {kind}"}


# -- a failed validation, in an operator's words ------------------------------------------------------------------


def _explain(problem: ValidationError, body: Any, where: str) -> InputError:
    errors = problem.errors(include_url=False)
    first = errors[0]
    loc: tuple[str | int, ...] = first["loc"]
    if first["type"].startswith("union_tag_"):
        loc = (*loc, "type")
    message, accepted = _sentence(first)
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InvalidValueError):
        loc, message, accepted = (*loc, *cause.path), str(cause), cause.accepted
    more = f"; {len(errors) - 1} more like it follow" if len(errors) > 1 else ""
    return InputError(message + more, where=where, path=_path(loc, body), accepted=accepted)


def _sentence(error: Any) -> tuple[str, str]:
    value, ctx = _shown(error["input"]), error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "is missing", ""
        case "extra_forbidden" | "unexpected_keyword_argument":
            return "is no known key", "the keys of the schema (entropy schema Cluster|Policy|Plan)"
        case "greater_than_equal":
            return f"is {value}", f"a number of at least {ctx['ge']:g}"
        case "greater_than":
            return f"is {value}", f"a number above {ctx['gt']:g}"
        case "less_than_equal":
            return f"is {value}", f"a number of at most {ctx['le']:g}"
        case "finite_number":
            return f"is {value}", "a finite number"
        case "float_type" | "int_type" | "int_from_float" | "float_parsing" | "int_parsing":
            kind = "whole number" if error["type"].startswith("int") else "number"
            return f"is {value}, not a {kind}", f"a plain {kind} (cpu in cores, memory in MiB, no unit)"
        case "string_type":
            return f"is {value}, not text", "text; put it in quotes"
        case "string_too_short" | "string_too_long" | "string_pattern_mismatch":
            most = ctx.get("max_length", 255)
            return f"is {value}", f"text of at most {most} characters, none of them a control character, and not empty"
        case "tuple_type" | "list_type":
            return f"is {value}, not a list", "a list"
        case "dataclass_type" | "dataclass_exact_type" | "model_attributes_type" | "dict_type" | "mapping_type":
            return f"is {value}, not a mapping", "keys and values"
        case "bool_type" | "bool_parsing":
            return f"is {value}", "true or false"
        case "literal_error" | "enum":
            return f"is {value}", str(ctx["expected"]).replace("'", "").replace(" or ", ", ")
        case "union_tag_invalid":
            return f"is {_shown(ctx['tag'])}", str(ctx["expected_tags"]).replace("'", "")
        case "union_tag_not_found":
            return "is missing", "a constraint type"
        case _:
            return f"is {value}: {error['msg'][:1].lower()}{error['msg'][1:]}", ""


def _path(loc: Sequence[str | int], body: Any) -> str:
    """``vms[3] (web-1).demand.memory``: the place, with the name of each list item that has one."""
    text, here = "", body
    for step in loc:
        if isinstance(step, str) and step in _TAGS and not (isinstance(here, dict) and step in here):
            continue  # pydantic names the variant of a union in its path; the document has no such key
        if isinstance(step, int):
            text += f"[{step}]"
            here = here[step] if isinstance(here, (list, tuple)) and step < len(here) else None
            if isinstance(here, dict) and isinstance(here.get("name") or here.get("id"), str):
                text += f" ({_cut(here.get('name') or here.get('id'))})"
        elif step != "[key]":
            text += f".{step}" if text else step
            here = here.get(step) if isinstance(here, dict) else None
    return text


def _tags() -> frozenset[str]:
    from entropy.model.rules import RULE_TYPES

    return frozenset({*RULE_TYPES, "tuple", "str", "constrained-str"})


_TAGS = _tags()


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 60
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = 4
_REPR.maxlevel = 2


def _shown(value: Any) -> str:
    """The value as far as it fits; ``reprlib`` because the whole text of a few nested YAML aliases can be gigabytes."""
    if isinstance(value, date):
        return f"the date {value}"
    return "nothing" if value is None else _REPR.repr(value)


def _cut(name: Any, most: int = 60) -> str:
    return name if len(name) <= most else f"{name[:most]}..."
