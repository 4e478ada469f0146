"""The domain of Diandi: plain Python over PostgreSQL. No request object, no WeChat, no clock of its own.

Imports run downward only (see ``.importlinter``); every edge package imports from here, never the other way.
"""
