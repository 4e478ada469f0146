"""The demonstration: programs under demo names, with sponsors, shops and people one can act as. ``flask demo …``."""
