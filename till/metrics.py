"""What the till counts."""

from __future__ import annotations

from prometheus_client import Counter

SETTLED = Counter("diandi_payments_settled_total", "Facts about payments, by way and outcome", ["way", "outcome"])
ENDED = Counter("diandi_payments_ended_total", "Payments that ended unpaid", ["state"])
REFUNDS = Counter("diandi_refunds_total", "Facts about refunds", ["status", "outcome"])
NOTICES = Counter("diandi_payment_notices_total", "Notices of WeChat Pay", ["type", "outcome"])
TROUBLE = Counter("diandi_payment_trouble_total", "Calls to WeChat Pay that gave no usable answer", ["call"])
DIFFERENCES = Counter("diandi_payment_differences_total", "Differences found by reconciliation", ["kind"])
SHIPMENTS = Counter("diandi_shipments_total", "Uploads of shipping information", ["outcome"])
