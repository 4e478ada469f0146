"""What is told how: notices by kind, each with its template, page and fields in WeChat's typed limits.

A template has the same name here in every mini-program; its id at WeChat is a setting (``WECHAT_TEMPLATES``). Keys name
the kind of value (``thing`` 20 characters, ``phrase`` 5 Chinese ones, ``time``); the wording of a template in WeChat's
console must use exactly these keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.clock import SHANGHAI


@dataclass(frozen=True, slots=True)
class Template:
    """``kinds``: a notice's kind → the phrase of at most five Chinese characters that says what it is."""

    name: str
    title: str
    page: str
    kinds: Mapping[str, str]


TEMPLATES: tuple[Template, ...] = (
    Template(
        "record",
        "绿色行为结果",
        "pages/records/index",
        {
            "record.held": "核实中",
            "record.rejected": "未通过",
            "record.reversed": "已撤销",
            "appeal.granted": "申诉通过",
            "appeal.refused": "申诉未过",
            "appeal.late": "延迟致歉",
        },
    ),
    Template(
        "credits",
        "积分变动",
        "pages/wallet/index",
        {
            "award.paid": "积分到账",
            "award.manual": "人工补发",
            "credits.expiring": "即将到期",
            "challenge.prize": "奖励到账",
        },
    ),
    Template(
        "order",
        "订单与兑换券",
        "pages/orders/index",
        {
            "order.shipped": "已发货",
            "order.refunding": "退款中",
            "order.refunded": "已退款",
            "order.late": "原路退回",
            "order.timed_out": "已关闭",
            "code.expiring": "即将到期",
            "code.redeemed": "已核销",
        },
    ),
    Template(
        "daily",
        "签到与活动",
        "pages/daily/index",
        {
            "check-in.reminder": "签到提醒",
            "gathering.place": "候补成功",
            "gathering.changed": "活动变更",
            "gathering.cancelled": "活动取消",
        },
    ),
    Template(
        "account",
        "账号与客服",
        "pages/me/index",
        {"recovery.asked": "请您确认", "recovery.done": "已恢复", "ticket.answered": "已回复"},
    ),
)
# At which moment the applet asks for which templates: after a tap or a payment, at most five at once.
MOMENTS: Mapping[str, tuple[str, ...]] = {
    "act": ("record", "credits"),
    "check-in": ("daily", "credits"),
    "order": ("order", "credits"),
    "appeal": ("record",),
    "support": ("account",),
    "settings": ("record", "credits", "order", "daily", "account"),
}


def template_for(kind: str) -> Template | None:
    """The template of a notice, None for one that stays in the inbox."""
    return next((one for one in TEMPLATES if kind in one.kinds), None)


def data_of(template: Template, *, kind: str, zh: str, at: datetime) -> dict[str, Any]:
    """The values of a message, fitted by whoever sends: ``phrase1`` what, ``thing2`` the words, ``time3`` when."""
    return {"phrase1": template.kinds[kind], "thing2": zh, "time3": f"{at.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"}
