"""The account: from a trace to a report."""

from apr_agents.accounting.account import account
from apr_agents.accounting.figures import (
    BranchFigures,
    ForkFigures,
    KindSeconds,
    Piece,
    Report,
    SecondFigures,
    TokenFigures,
    WhatIf,
)
from apr_agents.accounting.threadweaver import ThreadWeaverFigures, threadweaver

__all__ = [
    "BranchFigures",
    "ForkFigures",
    "KindSeconds",
    "Piece",
    "Report",
    "SecondFigures",
    "ThreadWeaverFigures",
    "TokenFigures",
    "WhatIf",
    "account",
    "threadweaver",
]
