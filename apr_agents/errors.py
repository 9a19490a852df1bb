"""Every error that this package raises on purpose, as one tree.

    AprError
    ├── UsageError          a call or an option that cannot be meant
    ├── WorkflowError       a workflow file or its inputs
    ├── DialectError        a dialect's data
    ├── ContextError        a stored context whose digest does not hold
    │   └── PlanChanged         a run that is resumed with another plan than it was started with
    ├── AlreadyRunning      a run that is resumed while it goes on elsewhere
    ├── TraceError          a file that is not a trace
    ├── CallError           a branch's call: unknown name, bad arguments, or the function raised
    ├── BudgetError         a bound of the run was reached
    └── EngineError         an engine could not do what was asked; keeps the partial text
        ├── EngineUnavailable   it could not be started or reached: missing library, file or server
        ├── ContextFull         the context does not fit the engine's window or cache
        ├── RequestRefused      a server answered, and refused: an HTTP status that is no success
        └── StreamFault         a server's answer came, but not whole: cut, aborted, malformed, foreign, late

A branch that fails is an outcome, not an exception: the driver turns what a branch raises into data.
"""

from __future__ import annotations

from typing import Literal


class AprError(Exception):
    """Base of all errors here. The message is one line: what, where, and the mend."""


class UsageError(AprError, ValueError):
    """Raised when a call or an option cannot be meant."""


class WorkflowError(AprError, ValueError):
    """Raised for a workflow file or its inputs; `problems` holds one `file:line $.path: what` each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class DialectError(AprError, ValueError):
    """Raised when a dialect's data does not make a dialect, or when a run cannot use it."""


class ContextError(AprError, ValueError):
    """Raised when a stored segment is not what was stored."""


class PlanChanged(ContextError):
    """Raised when a resumed run would fork other branches than those whose outcomes are kept."""


class AlreadyRunning(AprError):
    """Raised when a run is resumed that goes on in another process, or by one that was taken for dead meanwhile."""


class TraceError(AprError, ValueError):
    """Raised when a file is not a trace that this version reads."""


class CallError(AprError):
    """Raised when a branch's call cannot be made, or when the function raised."""


class BudgetError(AprError):
    """Raised when a bound of the run is reached; `bound` names it as the budget does."""

    def __init__(self, bound: str, message: str) -> None:
        super().__init__(message)
        self.bound = bound


class EngineError(AprError):
    """Raised when an engine fails; `partial` is the text that it had generated for this request.

    `again` says that the same request may be sent once more: nothing was generated, and the fault may pass; `wait` is
    how many seconds the server asked to be left alone before that, None where it did not say. An engine never sends a
    request twice by itself.
    """

    def __init__(self, message: str, partial: str = "", *, again: bool = False, wait: float | None = None) -> None:
        super().__init__(message)
        self.partial = partial
        self.again = again
        self.wait = wait


class EngineUnavailable(EngineError):
    """Raised when an engine cannot be started or reached: a library, a file or a server is missing or foreign."""


class ContextFull(EngineError):
    """Raised when a context fits neither the engine's window nor its cache, even after eviction."""


class RequestRefused(EngineError):
    """Raised when a server refuses a request; `status` is the HTTP status."""

    def __init__(self, status: int, message: str, *, again: bool = False, wait: float | None = None) -> None:
        super().__init__(message, again=again, wait=wait)
        self.status = status


class StreamFault(EngineError):
    """Raised when a server's answer is not whole; `fault` says how.

    `cut`: it ended, or the connection broke, before the finish and the end marker. `aborted`: the server says that it
    gave up. `malformed`: an event that is not one of the protocol. `foreign`: not this protocol at all, such as an HTML
    page with status 200. `late`: text or a second finish behind the finish. `timeout`: the request's deadline passed.
    """

    def __init__(
        self,
        fault: Literal["cut", "aborted", "malformed", "foreign", "late", "timeout"],
        message: str,
        partial: str = "",
        *,
        again: bool = False,
    ) -> None:
        super().__init__(message, partial, again=again)
        self.fault = fault
