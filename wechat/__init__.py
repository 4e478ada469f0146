"""The embassy: everything that talks to WeChat. It imports nothing of ours; callers hand it addresses and secrets.

No call may happen inside a database transaction; callers see to that (``app.db.forbid_in_transaction``).
"""
