"""The Dagster assets, one module a stage: each body reads, calls one function of ``pipeline``, writes."""
