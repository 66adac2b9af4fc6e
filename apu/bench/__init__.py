"""Benchmarks of the method on pairs whose truth is known; docs/bench.md says what is measured and how to read it."""
