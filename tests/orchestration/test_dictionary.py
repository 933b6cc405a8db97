"""The data dictionary on disk is the one that schemas and registries give."""

from __future__ import annotations

from pathlib import Path

from assets.all import MONTHLY_ASSETS
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
