"""The till: where an edge talks with WeChat Pay about our orders. Read, call outside any transaction, record.

Several edges need it (a tap in the mini-program, a job, a command), so it stands below them: it knows ``app`` and
``wechat``, which are strangers to each other. Without a merchant in the settings there is no till, and orders with a
cash part are refused plainly.
"""

from till.bills import reconcile
from till.calls import call_up, end_order, look, refresh, work_refund
from till.desk import NOTICES, Desk, find, get, hurried, register
from till.hearing import Heard, hear, read_again
from till.shipping import forget_managed, upload
from till.sweeping import sweep

__all__ = [
    "NOTICES",
    "Desk",
    "Heard",
    "call_up",
    "end_order",
    "find",
    "forget_managed",
    "get",
    "hear",
    "hurried",
    "look",
    "read_again",
    "reconcile",
    "refresh",
    "register",
    "sweep",
    "upload",
    "work_refund",
]
