"""The limit of open files: RabbitMQ and the gateways need thousands, shells often allow 1,024."""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Final

WANTED: Final = 65_536
ENOUGH: Final = 4_096


def raise_limit() -> str | None:
    """Raise this process's limit, which its children inherit, as far as allowed.

    Return a warning in one line if that is too little: RabbitMQ's queue declarations crash then.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else max(WANTED, hard)
    for soft, new_hard in ((wanted, wanted), (min(wanted, hard) if hard != resource.RLIM_INFINITY else wanted, hard)):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, new_hard))
            break
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY or limit >= ENOUGH:
        return None
    return (
        f"the limit of open files is {limit} and cannot be raised: a few hundred connections are the most "
        f"this run can take (raise the hard limit, for instance with LimitNOFILE or /etc/security/limits.conf)"
    )
