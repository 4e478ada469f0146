"""Settlement: statements that pay merchants and prove themselves from the ledger; programs that are wound up."""

from app.settlement.deciding import (
    APPROVE,
    CORRECT,
    DISPUTE_FOR,
    DISPUTE_OVER,
    STATEMENT_CHANGED,
    STATEMENT_DISPUTED,
    STATEMENT_NOT_RIPE,
    STATEMENT_STALE,
    accept,
    answer,
    approve,
    correct,
    dispute,
    issue,
    ready,
)
from app.settlement.drawing import (
    MERCHANT_NOT_DONE,
    STATEMENT_OUT_OF_ORDER,
    STATEMENT_TOO_EARLY,
    Drawn,
    content_hash,
    draw,
    draw_final,
    period_of,
    unfinished,
    void,
)
from app.settlement.exports import FORMATS, NEEDS_APPROVAL, exported, write
from app.settlement.models import Dispute, Payout, PayoutAccount, PayoutBatch, Statement, StatementLine
from app.settlement.paying import (
    ACCOUNT,
    NOTHING_DUE,
    PAYOUT_ACCOUNT_MISSING,
    accounts_of,
    ask_account,
    fail,
    invoice,
    make_batch,
    pay,
    payout_file,
    refuse_account,
    set_invoicing,
    take_account,
)
from app.settlement.queries import (
    disputes,
    get,
    lines,
    merchants_to_settle,
    of_merchant,
    of_program,
    one_of_merchant,
    verify,
)

__all__ = [
    "ACCOUNT", "APPROVE", "CORRECT", "DISPUTE_FOR", "DISPUTE_OVER", "FORMATS", "MERCHANT_NOT_DONE", "NEEDS_APPROVAL",
    "NOTHING_DUE", "PAYOUT_ACCOUNT_MISSING", "STATEMENT_CHANGED", "STATEMENT_DISPUTED", "STATEMENT_NOT_RIPE",
    "STATEMENT_OUT_OF_ORDER", "STATEMENT_STALE", "STATEMENT_TOO_EARLY", "Dispute", "Drawn", "Payout", "PayoutAccount",
    "PayoutBatch", "Statement", "StatementLine", "accept", "accounts_of", "answer", "approve", "ask_account",
    "content_hash", "correct", "dispute", "disputes", "draw", "draw_final", "exported", "fail", "get", "invoice",
    "issue", "lines",
    "make_batch", "merchants_to_settle", "of_merchant", "of_program", "one_of_merchant", "pay", "payout_file",
    "period_of", "ready", "refuse_account", "set_invoicing", "take_account", "unfinished", "verify", "void", "write",
]  # fmt: skip
