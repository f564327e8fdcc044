"""The XML as it comes over the wire: what is read, and what is refused, with which sentence."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entropy.model.errors import PlatformError
from entropy.platforms.ganglia.xml import DumpParser, Metric, parse_dump
from ganglia_xml import HEAD, document, host, node, vm


def refusal(data: bytes) -> str:
    with pytest.raises(PlatformError) as caught:
        parse_dump(data, "localhost:8651")
    return str(caught.value)


def test_hosts_and_wanted_metrics_are_kept() -> None:
    dump = parse_dump(document(node("n1", "a b"), host("x", {"load_one": 3, "mem_total": (5, 1, 1200, 9)}), grid="g"))
    assert (dump.grid, dump.localtime) == ("g", 1795329320)
    assert [(h.name, h.cluster, h.tn, h.tmax) for h in dump.hosts] == [("n1", "prod", 5, 20), ("x", "prod", 5, 20)]
    assert dump.hosts[0].metrics["container.vms"] == Metric("a b", 0, 60, 0)
    assert dump.hosts[1].metrics == {"mem_total": Metric("5", 1, 1200, 9)}


@given(st.integers(1, 4000))
def test_pieces_of_any_size_give_the_same(size: int) -> None:
    data = document(node("n1", "a b"), vm("a"), vm("b"), grid="g")
    parser = DumpParser()
    for start in range(0, len(data), size):
        parser.feed(data[start : start + size])
    assert parser.close() == parse_dump(data)


@given(st.data())
def test_a_document_cut_anywhere_is_refused(data: st.DataObject) -> None:
    whole = document(node("n1", "a b"), vm("a"), vm("b"))
    cut = data.draw(st.integers(0, len(whole.rstrip()) - 1))
    assert refusal(whole[:cut])


def test_what_is_ill_formed_in_the_last_piece_is_not_called_truncated() -> None:
    with pytest.raises(PlatformError, match=r"not well-formed .*more than about 900 bytes"):
        parse_dump(b'<GANGLIA_XML><CLUSTER NAME="c"><HOST NAME="n"><METRIC NAME="container.vms" VAL="a<b" ')


def test_truncated_says_where() -> None:
    whole = document(node("n1"), vm("a"))
    text = refusal(whole[: whole.index(b"cpu_nice")])
    assert "truncated" in text
    assert "host a" in text
    assert "cpu_user" in text
    assert "line " in text


def test_pitfall_1_an_over_long_string_breaks_the_tag_and_the_sentence_names_the_trap() -> None:
    """gmond cuts the attribute off: its quote and the rest of the tag are missing."""
    broken = document(node("n1")).replace(b'VAL="ssh" TYPE="string" UNITS="" TN="0" TMAX="60" DMAX="0" SLOPE="both">', b'VAL="ss', 1)
    text = refusal(broken)
    assert "not well-formed" in text
    assert "host n1 at or after metric container.type" in text
    assert "more than about 900 bytes" in text
    assert "container.vms.1" in text


@pytest.mark.parametrize("damage", ['VAL="<b>&"', 'VAL="a & b"', 'VAL="&#\xe9;"'])
def test_pitfalls_2_and_3_raw_markup_and_broken_references_are_refused(damage: str) -> None:
    text = refusal(document(node("n1")).replace(b'VAL="ssh"', damage.encode("latin-1")))
    assert "not well-formed" in text
    assert "<, &" in text


def test_raw_newlines_of_gmetad_are_white_space() -> None:
    dump = parse_dump(document(node("n1", "WORDS")).replace(b"WORDS", b"a\nb\tc"))
    assert dump.hosts[0].metrics["container.vms"].value.split() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "trusted_hosts"),
        (b"hello", "is no XML"),
        (b"\x00\x01\x02", "is no XML"),
        (b"<html><body/></html>", "begins with <html>"),
        (b'<HOST NAME="a"/>', "begins with <HOST>"),
        (b"<GANGLIA_XML><SCRIPT/></GANGLIA_XML>", "a tag <SCRIPT>"),
        (b'<?xml version="1.0" encoding="no-such"?><GANGLIA_XML/>', "no-such"),
        (b'<?xml version="1.0"?><!DOCTYPE x SYSTEM "http://192.0.2.1/x.dtd"><GANGLIA_XML/>', "DTD elsewhere"),
        (b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]><GANGLIA_XML/>', "declares entities"),
        (b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><GANGLIA_XML>&f;</GANGLIA_XML>', "declares entities"),
    ],
)
def test_what_is_not_ganglia_is_refused(data: bytes, said: str) -> None:
    assert said in refusal(data)


def bomb() -> bytes:
    """A gigabyte when expanded."""
    levels = "".join(f'<!ENTITY e{k} "{f"&e{k - 1};" * 10}">' for k in range(1, 10))
    return f'<!DOCTYPE x [<!ENTITY e0 "a">{levels}]><GANGLIA_XML><GRID NAME="&e9;"/></GANGLIA_XML>'.encode()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bomb(), id="entity bomb"),
        pytest.param(b'<!DOCTYPE x [<!ENTITY e "' + b"a" * (1 << 24), id="endless entity"),
        pytest.param(b"<GANGLIA_XML>" + b'<GRID NAME="">' * (1 << 20), id="deep"),
        pytest.param(b"<GANGLIA_XML><EXTRA_DATA>" + b"<A>" * (1 << 22), id="deep in what is passed over"),
        pytest.param(b"<GANGLIA_XML><EXTRA_DATA>" + b'<METRIC A="">' * (1 << 20), id="deep in metrics that are passed over"),
        pytest.param(b'<GANGLIA_XML><HOST NAME="' + b"a" * (1 << 24), id="endless attribute"),
        pytest.param(b"<GANGLIA_XML><!--" + b"a" * (1 << 24), id="endless comment"),
        pytest.param(b"<GANGLIA_XML>" + b"a" * (1 << 24), id="endless text"),
    ],
)
def test_hostile_documents_are_refused_in_little_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        assert "refused" in refusal(data)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("tn", "tmax", "silent"),
    [("79", "20", False), ("80", "20", True), ("1e9", "20", True), ("-5", "20", False), ("x", "20", True), ("0", "0", False)],
)
def test_silent_from_four_times_tmax(tn: str, tmax: str, silent: bool) -> None:
    assert parse_dump(document(host("a", {}, tn=tn, tmax=tmax))).hosts[0].silent is silent


@pytest.mark.parametrize(
    ("metric", "expired", "stale"),
    [
        (Metric("", 8, 60, 3), True, False),
        (Metric("", 3, 60, 3), False, False),
        (Metric("", 1e6, 0, 0), False, False),
        (Metric("", 240, 60, 0), False, True),
    ],
)
def test_pitfall_7_age_of_a_metric(metric: Metric, expired: bool, stale: bool) -> None:
    assert (metric.expired, metric.stale) == (expired, stale)


def test_the_dtd_of_ganglia_is_accepted() -> None:
    assert "<!DOCTYPE" in HEAD
    assert parse_dump(document()).hosts == []
