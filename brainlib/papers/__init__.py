"""Papers as data, and whether their printed numbers are possible.

Each paper is a YAML file in this folder: its protocol, its models and every number that it prints. `loading` reads one
into the types of `schema`, which are made of settings with their provenance (`provenance`); `printed` parses numbers as
they are printed, and `consistency` checks them against each other before any training.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "loading": ["load_paper", "paper_ids"],
        "schema": ["Paper", "Claim"],
        "provenance": ["Setting", "settings_of", "values"],
        "printed": ["printed_number"],
    },
)
