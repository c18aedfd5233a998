"""Synthetic slices with known truth, in the place of public images: tests and a first run need no download.

`make_phantoms` draws slices (module `draw`) of a schematic head (module `anatomy`). Module `dataset` writes them as
files in the layout of a registered set.
"""
