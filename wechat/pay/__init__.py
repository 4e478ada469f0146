"""WeChat Pay APIv3 for a direct merchant: order, call up, query, close, refund, bills, notices.

Usage::

    client = PayClient(Merchant(mchid=..., serial_no=..., private_key_pem=..., apiv3_key=..., keys=KeyRing({...})))
    prepay_id = client.prepay(appid=..., out_trade_no=..., ...)
    parameters = client.call_up(appid=..., prepay_id=prepay_id)

Errors are in ``wechat.pay.errors``. No call belongs inside a database transaction.
"""

from wechat.pay.bills import Bill, FundLine, TradeLine
from wechat.pay.client import PayClient
from wechat.pay.facts import Refund, Transaction
from wechat.pay.keys import KeyRing, Merchant
from wechat.pay.notices import Notice, open_notice, read_notice
from wechat.pay.transport import within

__all__ = [
    "Bill",
    "FundLine",
    "KeyRing",
    "Merchant",
    "Notice",
    "PayClient",
    "Refund",
    "TradeLine",
    "Transaction",
    "open_notice",
    "read_notice",
    "within",
]
