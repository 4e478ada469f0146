"""The application factory: the only file that knows everything. ``gunicorn 'wsgi:create_app()'``."""

from __future__ import annotations

from apiflask import APIFlask
from flask_migrate import Migrate

import demo.cli
import jobs.cli
import ops
from app import cache, config, tables, vault  # noqa: F401
from app.db import db
from app.methodologies import cli as methodologies_cli

migrate = Migrate()


def create_app(settings: config.Settings | None = None) -> APIFlask:
    """Build the application from settings. Raises ``config.SettingsError`` when they are incomplete."""
    settings = settings or config.load()
    app = APIFlask("diandi", title="Diandi 点滴", version="0.1.0")
    app.config["SETTINGS"] = settings
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database_url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
        "pool_size": settings.database_pool,
        "pool_timeout": 2,
        "pool_pre_ping": False,
        "connect_args": {"connect_timeout": 2, "options": "-c timezone=UTC -c lock_timeout=2000"},
    }
    vault.unlock(settings.secret)
    cache.connect(settings.redis_url)
    db.init_app(app)
    migrate.init_app(app, db, compare_type=True)
    ops.register(app)
    jobs.cli.register(app)
    demo.cli.register(app)
    methodologies_cli.register(app)
    return app
