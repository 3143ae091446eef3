"""How a method says no."""

from __future__ import annotations

from warren_shared.contracts.codes import ErrorCode


class RejectionError(Exception):
    """The method failed with one of the protocol's error codes; ``detail`` says what is wrong, for the caller."""

    def __init__(self, error: ErrorCode, detail: str = "") -> None:
        super().__init__(f"{error.message}: {detail}" if detail else error.message)
        self.error = error

    @property
    def code(self) -> int:
        """The code the caller is told."""
        return self.error.code
