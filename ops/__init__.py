"""The edge for those who run the product: logs, metrics, health, backup."""

from __future__ import annotations

from flask import Flask

from ops import cli, health, logs, requests


def register(app: Flask) -> None:
    """Logs, request ids and measures around every request; `/healthz /readyz /version /metrics`; backup, restore."""
    logs.setup()
    requests.register(app)
    app.register_blueprint(health.bp)
    cli.register(app)
