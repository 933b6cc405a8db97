"""The home: the one folder that holds extracts, lake, models, reports and Dagster's own records.

Belongs here: where things lie, and the Dagster resource that hands them to assets. Does not: what lies in them.
"""

from __future__ import annotations

import os
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import dagster as dg

from resources.extracts import ExtractStore
from resources.lake import Lake
from resources.models import ModelStore
from resources.settings import Settings, load_settings

# Runs report hundreds of partitions each; see resources.event_log.
EVENT_BATCH_SIZE = 1000


class Home:
    """Folders below ``PIPELINE_HOME`` and what they hold.

    Parameters
    ----------
    folder : pathlib.Path
        The home. Created as needed.
    extracts : pathlib.Path, optional
        Vendor files; ``<folder>/extracts`` unless given.
    """

    def __init__(self, folder: Path, extracts: Path | None = None) -> None:
        self.folder = Path(folder).resolve()
        self.extracts_folder = Path(extracts).resolve() if extracts else self.folder / "extracts"

    @classmethod
    def from_environment(cls) -> Home:
        """Home named by ``PIPELINE_HOME`` (``data``), extracts by ``PIPELINE_EXTRACTS`` (``<home>/extracts``)."""
        extracts = os.environ.get("PIPELINE_EXTRACTS")
        return cls(Path(os.environ.get("PIPELINE_HOME", "data")), Path(extracts) if extracts else None)

    @property
    def reports(self) -> Path:
        """Folder of the pages."""
        return self.folder / "reports"

    @property
    def truth(self) -> Path:
        """Folder of the simulated market's true values; absent beside real extracts."""
        return self.extracts_folder.parent / "truth"

    @cached_property
    def lake(self) -> Lake:
        """Partitions."""
        return Lake(self.folder / "lake")

    @cached_property
    def models(self) -> ModelStore:
        """States of models."""
        return ModelStore(self.folder / "models")

    @cached_property
    def extracts(self) -> ExtractStore:
        """Vendor tables, staged by month under ``<home>/staged``."""
        return ExtractStore(self.extracts_folder, self.folder / "staged")

    @cached_property
    def settings(self) -> Settings:
        """Settings as written in ``<home>/settings.toml``."""
        return load_settings(self.folder / "settings.toml")

    def prepare_dagster(self) -> Path:
        """Write ``dagster.yaml`` if there is none, and point this process at it.

        Returns
        -------
        pathlib.Path
            ``<home>/dagster``, which also stands in ``DAGSTER_HOME`` afterwards.
        """
        folder = self.folder / "dagster"
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "dagster.yaml"
        if not config.exists():
            config.write_text(files("pipeline.instance").joinpath("dagster.yaml").read_text())
        os.environ["DAGSTER_HOME"] = str(folder)
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(EVENT_BATCH_SIZE))
        return folder


class HomeResource(dg.ConfigurableResource):
    """Dagster resource that opens a home once a process.

    Attributes
    ----------
    folder, extracts : str
        See :class:`Home`; an empty ``extracts`` means the folder in the home.
    """

    folder: str
    extracts: str = ""

    def open(self) -> Home:
        """Open the home."""
        return Home(Path(self.folder), Path(self.extracts) if self.extracts else None)
