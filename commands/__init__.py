"""The edge for operators on the command line: ``flask approvals``, ``funding``, ``records`` and so on.

Exit 0 done, 1 refused or something found, 2 wrong usage. Whoever acts is named with ``--as``; what moves credits or
money by hand is only asked for here, and runs when a second operator approves it (``flask approvals approve``).
"""

from __future__ import annotations

from flask import Flask

from commands import (
    appeals,
    approvals,
    boards,
    business,
    challenges,
    checkins,
    community,
    funding,
    gatherings,
    grove,
    learning,
    levels,
    mall,
    merchants,
    orders,
    payments,
    records,
    scenarios,
    settlement,
    snapshots,
    sources,
    support,
    surveys,
    teams,
    wechat,
    welfare,
)

GROUPS = (
    *(
        one.group
        for one in (
            appeals,
            approvals,
            boards,
            community,
            challenges,
            checkins,
            funding,
            gatherings,
            grove,
            learning,
            levels,
            mall,
            merchants,
            orders,
            payments,
            records,
            scenarios,
            settlement,
            snapshots,
            sources,
            surveys,
            teams,
            wechat,
            welfare,
        )
    ),
    *support.GROUPS,
    business.green_group,
)


def register(app: Flask) -> None:
    """Add the commands."""
    for group in GROUPS:
        app.cli.add_command(group)
