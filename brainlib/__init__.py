"""Reproduction and audit of brain-tumour MRI classification studies."""

__version__ = "0.1.0"
