"""Four eyes: what moves credits or money by hand, or publishes a method, is asked by one and approved by another.

The approval binds to the hash of the payload; execution compares it again in its own transaction (AUD-1).
"""

from app.approvals.actions import MAKER_IS_CHECKER, VALID_FOR, approve, ask, execute, reject
from app.approvals.models import Approval

__all__ = ["MAKER_IS_CHECKER", "VALID_FOR", "Approval", "approve", "ask", "execute", "reject"]
