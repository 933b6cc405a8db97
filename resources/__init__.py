"""Disks and services: the lake, the model store, the extracts, the settings."""
