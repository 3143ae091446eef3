"""The answer any service gives when a request fails."""

from __future__ import annotations

from warren_shared.contracts.envelope import Message


class Failed(Message):
    """The request was understood but could not be served, or was not understood."""

    type_name = "rpc.failed"

    code: int
    """One of the protocol's error codes."""
    reason: str
    temporary: bool = False
