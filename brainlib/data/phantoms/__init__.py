"""Synthetic slices with known truth, in the place of public images: tests and a first run need no download."""
