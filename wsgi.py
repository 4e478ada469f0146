"""The application factory: the only file that knows everything. ``gunicorn 'wsgi:create_app()'``."""

from __future__ import annotations

import gc

from apiflask import APIFlask
from flask_migrate import Migrate
from werkzeug.middleware.proxy_fix import ProxyFix

import commands
import commands.windup
import courier
import demo.cli
import edge
import ingestion.files.cli
import ingestion.partners
import jobs.cli
import miniprogram_api
import ops
import public_site
import till
from app import cache, config, memo, tables, vault  # noqa: F401
from app.db import db
from app.methodologies import cli as methodologies_cli
from app.operators import cli as operators_cli
from app.scenarios import from_templates

migrate = Migrate()
PG_OPTIONS = "-c timezone=UTC -c lock_timeout=2000 -c plan_cache_mode=force_generic_plan"


def create_app(settings: config.Settings | None = None) -> APIFlask:
    """Build the application from settings. Raises ``config.SettingsError`` when they are incomplete."""
    settings = settings or config.load()
    app = APIFlask("diandi", title="Diandi 点滴", version="0.2.0", docs_path=None)
    app.config["SETTINGS"] = settings
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database_url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
        "pool_size": settings.database_pool,
        "pool_timeout": 2,
        "pool_pre_ping": False,
        "connect_args": {"connect_timeout": 2, "options": PG_OPTIONS},
    }
    vault.unlock(
        settings.secret,
        seal=settings.seal_secret,
        old_seals=settings.old_seal_secrets,
        old_secrets=settings.old_secrets,
    )
    memo.configure(0.0 if settings.environment == "test" else 1.0)
    cache.connect(settings.redis_url)
    db.init_app(app)
    migrate.init_app(app, db, compare_type=True)
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies, x_proto=1)  # type: ignore[method-assign]
    edge.prepare(app)
    ops.register(app)
    jobs.cli.register(app)
    commands.register(app)
    demo.cli.register(app)
    ingestion.files.cli.register(app)
    methodologies_cli.register(app)
    operators_cli.register(app, make_scenarios=from_templates.offer_all, copy_scenarios=from_templates.drafts_of)
    commands.windup.register(app)
    till.register(app, settings)
    courier.register(app, settings)
    miniprogram_api.register(app, settings)
    ingestion.partners.register(app)
    public_site.register(app)
    edge.complete(app)
    if settings.environment != "test":
        gc.collect()
        gc.freeze()  # what stands now stands for good; looking through it again and again costs a tenth of an import
    return app
