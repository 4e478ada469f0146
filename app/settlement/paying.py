"""Pay what is due: a merchant's account (sealed, changed by two, cooled for a day), batches for the bank, evidence."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from app import approvals, audit, ledger, notices, vault
from app.db import run, session
from app.errors import IDEMPOTENCY_CONFLICT, INVALID_FIELD, NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.ledger import Draft
from app.merchants import Merchant
from app.settlement.deciding import owners, unchanged
from app.settlement.drawing import lock_merchant, locked
from app.settlement.models import Invoicing, Payout, PayoutAccount, PayoutBatch, Statement
from app.units import FEN

COOLING = timedelta(hours=24)
SEALED = "payout-account"
ACCOUNT = "settlement.account"
_NUMBER = re.compile(r"[0-9]{8,30}", re.ASCII)
_TAX_NO = re.compile(r"[0-9A-Z]{15,20}", re.ASCII)

PAYOUT_ACCOUNT_MISSING = declare(
    "payout_account_missing",
    Kind.CONFLICT,
    zh="商户没有可用的收款账户：未登记，或变更后 24 小时冷却期未满。可用时间见 details。",
    en="The merchant has no usable payout account: none yet, or one that cools for 24 hours (`details` says until).",
)
NOTHING_DUE = declare(
    "nothing_due", Kind.CONFLICT, zh="没有待付款的对账单。", en="No approved statement waits for a payout."
)


def ask_account(
    *, merchant: Merchant, holder: str, bank: str, number: str, asked_by: str, reason: str, at: datetime
) -> PayoutAccount:
    """Ask for another payout account; it stands when a (second) person of ours approves, and is usable a day later.

    The number is sealed; approvals and audit see it masked. The owners are told now,
    while the old account still stands. Raises INVALID_FIELD, STATE_CONFLICT when a change waits already.
    """
    digits = re.sub(r"[\s-]", "", number)
    if not _NUMBER.fullmatch(digits):
        expected = "8 到 30 位数字的银行账号|a bank account of 8 to 30 digits"
        raise INVALID_FIELD(fields=[{"field": "number", "expected": expected}])
    lock_merchant(merchant.program_id, merchant.id)
    waiting = select(PayoutAccount.id).where(PayoutAccount.merchant_id == merchant.id, PayoutAccount.state == "asked")
    if session().scalars(waiting).first() is not None:
        raise STATE_CONFLICT(state="asked")
    made = PayoutAccount(
        merchant_id=merchant.id,
        sealed=vault.encrypt(SEALED, f"{holder}\n{digits}"),
        bank=bank,
        masked=f"{holder[:1]}** ****{digits[-4:]}",
        asked_by=asked_by,
        asked_at=at,
        state="asked",
    )
    session().add(made)
    session().flush()
    payload = {"account_id": made.id, "merchant": merchant.code, "bank": bank, "masked": made.masked}
    asked = approvals.ask(
        action=ACCOUNT, payload=payload, reason=reason, maker=asked_by, at=at, program_id=merchant.program_id
    )
    made.approval_id = asked.id
    zh = f"申请将收款账户改为 {bank} {made.masked}。如非本人操作，请立即联系运营。"
    en = f"A change of the payout account to {bank} {made.masked} was asked for. If it wasn't you, call us at once."
    _tell(merchant, f"account:{made.id}:asked", at, zh, en)
    return made


def take_account(*, account_id: int, at: datetime) -> PayoutAccount:
    """An approved account takes the place of the one before; nothing is paid to either for 24 hours."""
    found = session().get(PayoutAccount, account_id, with_for_update=True)
    if found is None or found.state != "asked":
        raise STATE_CONFLICT(state=found.state if found else "unknown")
    merchant = session().get_one(Merchant, found.merchant_id)
    before = (PayoutAccount.merchant_id == found.merchant_id, PayoutAccount.state == "active")
    had = session().execute(update(PayoutAccount).where(*before).values(state="ended", ended_at=at)).rowcount  # type: ignore[attr-defined]
    found.state, found.usable_from = "active", at + COOLING
    session().flush()
    named = f"{found.bank} {found.masked}"
    zh = f"收款账户已{'变更' if had else '登记'}为 {named}，24 小时后生效。如有疑问请立即联系运营。"
    en = f"The payout account is now {named}, usable in 24 hours. If that is wrong, call us at once."
    _tell(merchant, f"account:{found.id}:active", at, zh, en)
    return found


def refuse_account(*, account_id: int, at: datetime) -> None:
    """A rejected request leaves the account that stands."""
    found = session().get(PayoutAccount, account_id, with_for_update=True)
    if found is not None and found.state == "asked":
        found.state, found.ended_at = "refused", at


def accounts_of(merchant_id: int) -> list[PayoutAccount]:
    """Newest first, masked as they are stored."""
    query = select(PayoutAccount).where(PayoutAccount.merchant_id == merchant_id).order_by(PayoutAccount.id.desc())
    return list(session().scalars(query))


def set_invoicing(*, merchant_id: int, title: str, tax_no: str, by: str, at: datetime) -> Invoicing:
    """Title and tax number (统一社会信用代码) for a merchant's invoices. Raises INVALID_FIELD."""
    tax_no = tax_no.strip().upper()
    if not _TAX_NO.fullmatch(tax_no):
        expected = "15 到 20 位数字或大写字母|15 to 20 digits or capital letters"
        raise INVALID_FIELD(fields=[{"field": "tax_no", "expected": expected}])
    return session().merge(Invoicing(merchant_id=merchant_id, title=title, tax_no=tax_no, changed_by=by, changed_at=at))


def invoice(*, statement_id: int, number: str, day: date, actor: str, at: datetime) -> Statement:
    """A merchant's invoice for a statement came in. Another number than the first is a conflict."""
    found = locked(statement_id)
    if found.state in ("draft", "void"):
        raise STATE_CONFLICT(state=found.state)
    if found.invoice_no is not None and (found.invoice_no, found.invoice_date) != (number, day):
        raise IDEMPOTENCY_CONFLICT(invoice=found.invoice_no)
    found.invoice_no, found.invoice_date = number, day
    _audit(found.program_id, "settlement.invoice", "statement", found.id, actor, at, {"number": number})
    return found


def make_batch(*, program_id: int, batch_no: str, actor: str, at: datetime) -> tuple[PayoutBatch, list[Payout], bool]:
    """Gather every approved statement that no live line pays, as one batch under a number of its own.

    The same number again is answered with the first batch. Statements whose merchant has no usable account stay out;
    ``missing`` names them. Raises NOTHING_DUE; PAYOUT_ACCOUNT_MISSING when that is all there is.
    """
    known = session().scalars(select(PayoutBatch).where(PayoutBatch.batch_no == batch_no)).first()
    if known is not None:
        if known.program_id != program_id:
            raise IDEMPOTENCY_CONFLICT(batch=batch_no)
        return (
            known,
            list(session().scalars(select(Payout).where(Payout.batch_id == known.id).order_by(Payout.id))),
            False,
        )
    due = run(_DUE, {"program": program_id})
    if not due:
        raise NOTHING_DUE()
    usable = [row for row in due if row.usable_from is not None and row.usable_from <= at]
    if not usable:
        raise PAYOUT_ACCOUNT_MISSING(
            merchants=[row.merchant for row in due], usable_from=[str(row.usable_from or "") for row in due]
        )
    batch = PayoutBatch(program_id=program_id, batch_no=batch_no, made_by=actor, made_at=at)
    session().add(batch)
    session().flush()
    for row in usable:
        unchanged(session().get_one(Statement, row.id))
    lines = [
        Payout(batch_id=batch.id, statement_id=row.id, account_id=row.account_id, fen=row.total_fen, state="waiting")
        for row in usable
    ]
    session().add_all(lines)
    session().flush()
    _audit(program_id, "settlement.batch", "payout_batch", batch.id, actor, at, {"no": batch_no, "lines": len(lines)})
    return batch, lines, True


_DUE = """
    select s.id, s.total_fen, m.code as merchant, p.id as account_id, p.usable_from
    from statements s join merchants m on m.id = s.merchant_id
    left join payout_accounts p on p.merchant_id = m.id and p.state = 'active'
    where s.program_id = %(program)s and s.state = 'approved'
      and not exists (select from payouts l where l.statement_id = s.id and l.state <> 'failed')
    order by s.id for update of s
"""


def payout_file(*, batch_id: int, actor: str, reason: str, at: datetime) -> list[dict[str, Any]]:
    """What the bank needs of a batch, account numbers in the open; that somebody looked is in the audit."""
    batch = session().get(PayoutBatch, batch_id)
    if batch is None:
        raise NOT_FOUND(batch=str(batch_id))
    query = (
        select(Payout, PayoutAccount, Statement, Merchant)
        .join(PayoutAccount, PayoutAccount.id == Payout.account_id)
        .join(Statement, Statement.id == Payout.statement_id)
        .join(Merchant, Merchant.id == Statement.merchant_id)
        .where(Payout.batch_id == batch_id, Payout.state == "waiting")
        .order_by(Payout.id)
    )
    rows = []
    for line, account, statement, merchant in session().execute(query):
        holder, _, number = vault.decrypt(SEALED, bytes(account.sealed)).partition("\n")
        rows.append(
            {
                "batch": batch.batch_no,
                "line": line.id,
                "merchant": merchant.name,
                "holder": holder,
                "bank": account.bank,
                "account": number,
                "yuan": f"{line.fen // 100}.{line.fen % 100:02d}",
                "purpose": f"{merchant.code} {statement.period}",
            }
        )
    _audit(
        batch.program_id, "settlement.payout_file", "payout_batch", batch.id, actor, at, {"lines": len(rows)}, reason
    )
    return rows


def pay(
    *, payout_id: int, bank_reference: str, paid_on: date, evidence_hash: bytes, actor: str, at: datetime
) -> Payout:
    """The bank has paid a line: booked with its reference, day and the hash of the receipt. Told again it is the same.

    Raises NOT_FOUND, STATE_CONFLICT, IDEMPOTENCY_CONFLICT, STATEMENT_CHANGED.
    """
    line = session().get(Payout, payout_id)
    if line is None:
        raise NOT_FOUND(payout=str(payout_id))
    statement = locked(line.statement_id)
    session().refresh(line, with_for_update=True)
    if line.state == "paid":
        if line.bank_reference != bank_reference:
            raise IDEMPOTENCY_CONFLICT(reference=line.bank_reference)
        return line
    if line.state != "waiting":
        raise STATE_CONFLICT(state=line.state)
    unchanged(statement)
    merchant = lock_merchant(statement.program_id, statement.merchant_id)
    ours = ledger.accounts(
        [(merchant.program_id, FEN, "payout", merchant.code), (merchant.program_id, FEN, "paid_out", "")]
    )
    waits, out = (
        ours[merchant.program_id, FEN, kind, key] for kind, key in (("payout", merchant.code), ("paid_out", ""))
    )
    memo = {"reference": bank_reference, "paid_on": paid_on.isoformat(), "evidence": evidence_hash.hex()}
    draft = Draft(
        merchant.program_id, "settlement.pay", f"payout:{line.id}", [(waits, -line.fen), (out, line.fen)], memo
    )
    line.transfer_id = ledger.post([draft], at=at)[0].transfer_id
    line.state, line.bank_reference, line.paid_on = "paid", bank_reference, paid_on
    line.evidence_hash, line.told_by, line.settled_at = evidence_hash, actor, at
    statement.state, statement.paid_at = "paid", at
    try:
        session().flush()
    except IntegrityError as error:
        raise IDEMPOTENCY_CONFLICT(reference=bank_reference) from error
    _audit(merchant.program_id, "settlement.pay", "payout", line.id, actor, at, memo)
    yuan = f"{line.fen / 100:.2f}"
    zh = f"{statement.period} 对账单 {yuan} 元已付款，银行流水号 {bank_reference}。"
    en = f"Statement {statement.period}: {yuan} yuan were paid, bank reference {bank_reference}."
    _tell(merchant, f"payout:{line.id}", at, zh, en)
    return line


def fail(*, payout_id: int, problem: str, actor: str, at: datetime) -> Payout:
    """The bank refused a line: the statement waits for another batch; the others of this one stand as they are."""
    line = session().get(Payout, payout_id, with_for_update=True)
    if line is None:
        raise NOT_FOUND(payout=str(payout_id))
    if line.state == "paid":
        raise STATE_CONFLICT(state=line.state)
    if line.state == "waiting":
        line.state, line.problem, line.told_by, line.settled_at = "failed", problem, actor, at
        batch = session().get_one(PayoutBatch, line.batch_id)
        _audit(batch.program_id, "settlement.fail", "payout", line.id, actor, at, {"problem": problem}, problem)
    return line


def _tell(merchant: Merchant, key: str, at: datetime, zh: str, en: str) -> None:
    for person_id in owners(merchant.id, at):
        notices.tell(key=f"{key}:{person_id}", person_id=person_id, program_id=merchant.program_id, kind="payout",
                     zh=zh, en=en, at=at)  # fmt: skip


def _audit(
    program_id: int,
    action: str,
    kind: str,
    object_id: int,
    actor: str,
    at: datetime,
    after: Any,
    reason: str | None = None,
) -> None:
    audit.write(
        actor=actor, action=action, object_type=kind, object_id=object_id, at=at, program_id=program_id, after=after,
        reason=reason,
    )  # fmt: skip
