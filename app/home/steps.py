"""The next step: the one thing that is worth most to do now, in words."""

from __future__ import annotations

from collections.abc import Sequence

from app.home.queries import Next, Today, Waiting


def next_step(*, programs: int, waiting: Sequence[Waiting], today: Today, available: int, expiring: int) -> Next:
    """Choose it: join a program, use a code or credits before they end, read about what waits, else record an act.

    ``available`` and ``expiring`` are credits over all programs; the latter end within the coming weeks.
    """
    kinds = {one.kind: one for one in waiting}
    if not programs:
        return Next(
            "join_program",
            "先加入一个项目，绿色行为才能开始累积。",
            "Join a program first; from then on your green acts add up.",
        )
    if "code" in kinds:
        return Next(
            "use_code",
            "您有未使用的兑换码，到店出示即可。",
            "You have a code that is not used yet. Show it in the shop.",
        )
    if expiring:
        return Next(
            "spend_expiring",
            f"有 {expiring} 积分即将到期，去商城看看或捐给公益项目。",
            f"{expiring} credits expire soon. See the mall, or give them to a welfare project.",
        )
    if "review" in kinds and not today.acts:
        return Next(
            "wait_for_review",
            "有记录正在人工核实，一般 3 个工作日内答复，无需操作。",
            "An act of yours is being looked at, usually within 3 working days. Nothing to do for now.",
        )
    if not today.acts:
        return Next(
            "record_act",
            "今天还没有绿色行为，乘坐公交地铁、骑行或停驶一天都可以。",
            "No green act yet today: take the bus or metro, ride a bike, or leave the car at home.",
        )
    if available:
        return Next(
            "see_mall",
            f"您有 {available} 积分可用，去商城看看能换什么。",
            f"You have {available} credits. See what they can become.",
        )
    return Next(
        "keep_going",
        "今天的行为已记录，积分会随每次绿色行为累积。",
        "Today's act is recorded. Credits add up with every one.",
    )
