"""Measurements beside a bare baseline, printed as ratios by `make bench`."""
