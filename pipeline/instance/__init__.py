"""Template of a Dagster instance: `dagster.yaml`, copied into a new home."""
