"""What nobody reads is taken out before the parser; nothing else changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entropy.model.errors import PlatformError
from entropy.platforms.ganglia.skim import Skimmer
from entropy.platforms.ganglia.xml import OURS, WANTED, DumpParser, parse_dump
from ganglia_xml import document, host, metric

NAMES = st.sampled_from(
    ["load_one", "mem_free", "mem_total", "mem_total2", "cpu_user", "cpu_idle", "container.vms", "containers", "os_name"]
)
METRICS = st.dictionaries(NAMES, st.sampled_from(["1", "a b", "x" * 300]), max_size=9)


def skim(data: bytes, size: int) -> bytes:
    skimmer = Skimmer(WANTED, OURS)
    return b"".join([*(skimmer.feed(data[k : k + size]) for k in range(0, len(data), size)), skimmer.close()])


@given(st.lists(METRICS, max_size=4), st.integers(1, 3000))
def test_what_is_read_stays(hosts: list[dict[str, object]], size: int) -> None:
    data = document(*(host(f"h{k}", metrics) for k, metrics in enumerate(hosts)))
    skimmed = skim(data, size)
    assert skimmed.count(b"\n") == data.count(b"\n")
    for name in ("load_one", "mem_total2", "cpu_idle", "containers"):
        assert f'"{name}"'.encode() not in skim(data, len(data))
    dump = parse_dump(data)
    assert parse_dump(skimmed) == dump
    kept = [{name for name in metrics if name in WANTED or name.startswith(OURS)} for metrics in hosts]
    assert [set(h.metrics) for h in dump.hosts] == kept


@given(st.data())
def test_damage_to_what_is_not_read_is_refused_all_the_same(data: st.DataObject) -> None:
    """A byte lost or replaced anywhere in a metric's markup, held against a parser that skims nothing."""
    unread = metric("load_one", "1").encode()
    at = data.draw(st.integers(0, len(unread) - 1))
    damaged = unread[:at] + data.draw(st.sampled_from([b"", b"<", b"&", b'"', b">", b"x"])) + unread[at + 1 :]
    text = document(host("h", {})).replace(b"</HOST>", damaged + b"</HOST>")
    assert accepted(text, skimming=True) == accepted(text, skimming=False)


def accepted(text: bytes, *, skimming: bool) -> bool:
    parser = DumpParser()
    if not skimming:
        parser._skimmer._most = -1
        parser._skimmer._unread = type(parser._skimmer)([], "")._unread  # an empty prefix keeps every metric
    try:
        parser.feed(text)
        parser.close()
    except PlatformError:
        return False
    return True


def test_places_in_errors_are_those_of_the_answer() -> None:
    body = "".join(host(f"h{k}", {"load_one": 1, "mem_total": 5}) for k in range(50))
    text = document(body, "<HOST NAME=broken>")
    line = text[: text.index(b"broken")].count(b"\n") + 1
    with pytest.raises(PlatformError, match=f"line {line}, column 11"):
        parse_dump(text)
