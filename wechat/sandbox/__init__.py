"""A local WeChat to develop and test against: strict as the real one, with users one can act as.

It shares no code with the client of this package: what both sides got wrong together would never be found. It listens
on loopback only and doesn't start in production. Run it with ``python -m wechat.sandbox --port 9101``; in tests see
``wechat.sandbox.box``.
"""
