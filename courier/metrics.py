"""What the courier counts."""

from __future__ import annotations

from prometheus_client import Counter

CHECKS = Counter("diandi_content_checks_total", "Content checks by kind and outcome", ["kind", "outcome"])
MESSAGES = Counter("diandi_messages_total", "Subscribe messages by template and outcome", ["template", "outcome"])
PUSHED = Counter("diandi_wechat_push_total", "What WeChat pushed, by kind and outcome", ["kind", "outcome"])
PHONE_NUMBERS = Counter("diandi_phone_numbers_total", "Phone numbers asked for, by outcome", ["outcome"])
STEPS = Counter("diandi_werun_days_total", "Days of steps, by outcome", ["outcome"])
