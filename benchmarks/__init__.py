"""Side-by-side runs of project and peers; `python -m benchmarks` prints them as one table."""
