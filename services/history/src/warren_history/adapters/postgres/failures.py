"""Which of asyncpg's errors may pass, which are mistakes, and which will not be mended by waiting."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from warren_history.ports import StoreUnavailableError, StoreUnusableError

MISTAKES: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    ValueError,  # of asyncpg too, for a value that does not fit its type
)
"""What will not pass: it is about what was to be stored, not about the server."""

CROSSED: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""Two transactions in each other's way: the one that is told so has done nothing, and may begin again."""

_REFUSALS: Final = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)
"""What somebody must mend: login, database, rights."""

_FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)


@contextmanager
def translated(deadline: float) -> Iterator[None]:
    """Raise StoreUnavailableError for what may pass, in one line; mistakes as they are."""
    try:
        yield
    except MISTAKES:
        raise
    except TimeoutError as error:
        raise StoreUnavailableError(f"no answer within {deadline} s") from error
    except _FAILURES as error:
        raise StoreUnavailableError(one_line(error)) from error


@contextmanager
def refused() -> Iterator[None]:
    """Raise StoreUnusableError, in one line, for what waiting will not mend. For connecting alone."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise StoreUnusableError(f"its certificate is not to be trusted: {error.verify_message}") from error
    except _REFUSALS as error:
        raise StoreUnusableError(one_line(error)) from error
    except ValueError:
        # What asyncpg says of a URL may repeat a part of the password.
        raise StoreUnusableError("the URL cannot be used: its port, options or files are wrong") from None


def one_line(error: BaseException) -> str:
    """Return an error's message without what PostgreSQL adds in further lines: those may hold values."""
    text = str(error.args[0]) if error.args else ""
    return text.strip().partition("\n")[0] or type(error).__name__
