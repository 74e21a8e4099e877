"""Benchmarks against a bare baseline, whose ratios `make bench` prints."""
