"""The data dictionary on disk is the one that schemas and registries give."""

from __future__ import annotations

from pathlib import Path

from assets import schemas
from assets.all import MONTHLY_ASSETS
from pipeline.bonds.portfolios import BOND_SORTS
from pipeline.bonds.registry import NAMES as BONDS
from pipeline.dictionary import markdown
from pipeline.equity.registry import NAMES as FIRMS
from resources.settings import Settings

DOCS = Path(__file__).parents[2] / "docs" / "data_dictionary.md"


def test_the_dictionary_is_up_to_date():
    assert DOCS.read_text() == markdown(Settings()), "run: python -m pipeline dictionary > docs/data_dictionary.md"


def test_every_asset_and_characteristic_is_in_it():
    text = DOCS.read_text()
    assert all(f"### `{asset.name}`" in text for asset in MONTHLY_ASSETS)
    assert all(f"| {name} |" in text for name in (*BONDS, *FIRMS))


def test_both_sources_of_the_bond_panel_are_in_it():
    said = {part.split("`")[0]: part for part in DOCS.read_text().split("### `")[1:]}
    snapshot = next(line for line in said["bond_snapshot"].splitlines() if line.startswith("- Reads: "))
    trades, index = snapshot.split('; with `bond_source = "index"` ')
    assert {"`bond_issues`", "`bond_prices`"} < set(trades.removeprefix("- Reads: ").split(", "))
    assert index == "`bonds.index_snapshot`"
    assert [name for name, text in said.items() if "bond_source" in text] == [
        "bond_issues",
        "bond_returns",
        "bond_snapshot",
        "bond_characteristics",
    ]


def test_portfolios_and_their_characteristics_are_in_it():
    text = DOCS.read_text()
    bonds = text.split("## Bond portfolios\n")[1].split("\n## ")[0]
    assert all(f"| {sort.portfolios[0]} to {sort.portfolios[-1]} |" in bonds for sort in BOND_SORTS)
    known = text.split("## Bond portfolio characteristics\n")[1].split("\n## ")[0]
    schema = schemas.bond_portfolio_characteristics(Settings())
    assert all(f"| {name} |" in known for name in schema.columns() if name not in schema.primary_key())
