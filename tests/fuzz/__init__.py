"""Fuzzers: what strangers write, at every door that it comes in by. `python -m tests.fuzz --help`."""
