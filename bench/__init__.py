"""Benchmarks: programs that print ratios to an anchor of the same run. They never run among the tests."""
