from __future__ import annotations

import pytest

from pipeline.bonds.source import AUTO, INDEX, SOURCES, TRADES, BondSourceSettings

BOTH = ["bonds.index_snapshot", "fisd.fisd_mergedissue", "prices.VIX", "trace.trace_enhanced"]


@pytest.mark.parametrize(
    ("on_disk", "expected"),
    [
        (BOTH, TRADES),
        ({"fisd.fisd_mergedissue", "trace.trace_enhanced"}, TRADES),
        (["bonds.index_snapshot"], INDEX),
        (["fisd.fisd_mergedissue"], INDEX),
        (["trace.trace_enhanced", "fisd.fisd_mergedissuer"], INDEX),
        ([], INDEX),
    ],
)
def test_auto_is_decided_by_what_is_on_disk(on_disk, expected):
    assert BondSourceSettings().bond_source == AUTO
    decided = BondSourceSettings().resolved(on_disk)
    assert decided.bond_source == expected
    assert decided.trades == (expected == TRADES)
    assert decided.resolved([]) == decided.resolved(BOTH) == decided


@pytest.mark.parametrize("choice", [TRADES, INDEX])
@pytest.mark.parametrize("on_disk", [BOTH, ["bonds.index_snapshot"], []])
def test_a_choice_stands_whatever_is_on_disk(choice, on_disk):
    chosen = BondSourceSettings(bond_source=choice)
    assert chosen.resolved(on_disk) == chosen
    assert chosen.trades == (choice == TRADES)


def test_nothing_decided_means_trades():
    """The lineage that is drawn without any files is that of trades."""
    assert BondSourceSettings().trades


@pytest.mark.parametrize("word", ["", "Trades", "both", "trace"])
def test_another_word_is_refused(word):
    with pytest.raises(ValueError, match=rf"bond_source is one of {', '.join(SOURCES)}, not '{word}'"):
        BondSourceSettings(bond_source=word)
