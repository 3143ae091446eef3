"""The answer any service gives when a request fails, and the headers of a client's call of a backend."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from warren_shared.contracts.envelope import Message


class Failed(Message):
    """The request was understood but could not be served, or was not understood."""

    type_name = "rpc.failed"

    code: int
    """One of the protocol's error codes."""
    reason: str
    temporary: bool = False


METHOD_NAME: Final = re.compile(r"[-a-zA-Z0-9_.:]{1,200}")
"""The name of a method that clients may call (matched whole); behind ``app.`` a routing key without wildcards."""

CUSTOM_ERRORS: Final = range(400, 2000)
"""Error codes the client protocol leaves to applications."""
MAX_ERROR_MESSAGE: Final = 256
"""Characters of a backend's error message that reach the client."""


class CallHeader(StrEnum):
    """AMQP headers of a client's call of a backend, and of the answer. The bodies are the payloads themselves."""

    USER = "x-warren-user"  # string, set by gateways: the caller's user id; empty for an anonymous user
    CLIENT = "x-warren-client"  # string, set by gateways: the connection's id
    INFO = "x-warren-info"  # string, set by gateways: the token's info claim as JSON text; absent if it has none
    ERROR_CODE = "x-warren-error-code"  # integer, set by backends: the call failed, with one of CUSTOM_ERRORS
    ERROR_MESSAGE = "x-warren-error-message"  # string, set by backends
    ERROR_TEMPORARY = "x-warren-error-temporary"  # boolean, set by backends: trying again may help
