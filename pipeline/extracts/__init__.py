"""Vendor extracts: what each table looks like, how its published layouts are read, and what is refused."""
