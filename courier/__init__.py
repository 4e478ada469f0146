"""The courier: where an edge talks with WeChat about anything but money. Read, call outside any transaction, record.

Several edges need it (a tap in the mini-program, a job, a command), so it stands below them and knows ``app`` and
``wechat``, which are strangers to each other. Of payments the till takes care.
"""

from courier.clients import App, Apps, apps, find, register

__all__ = ["App", "Apps", "apps", "find", "register"]
