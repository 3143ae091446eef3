"""Development tokens: a signed connection token for any user who asks. Off unless a secret is set."""

from __future__ import annotations

from typing import Final

import jwt
import structlog
from aiohttp import web

from warren_console.metrics import Counters
from warren_shared.runtime.clock import Clock

PATH: Final = "/dev/token"
_MAX_USER: Final = 128
_log = structlog.get_logger()


class DevTokens:
    """Issues HS256 connection tokens."""

    def __init__(self, secret: str, *, ttl_seconds: int, audience: str, clock: Clock, counters: Counters) -> None:
        self._secret = secret
        self._ttl = ttl_seconds
        self._audience = audience
        self._clock = clock
        self._counters = counters

    def add_to(self, app: web.Application) -> None:
        """Register the route."""
        app.router.add_get(PATH, self.get_token)

    async def get_token(self, request: web.Request) -> web.Response:
        """Answer ``{"token": ..., "expires_in": seconds}``, to the console's own page and to tools only."""
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return web.json_response({"error": "not for pages of other sites"}, status=403)
        user = request.query.get("user", "")
        if not user or len(user) > _MAX_USER or not user.isprintable():
            return web.json_response({"error": f"user must be 1 to {_MAX_USER} printable characters"}, status=400)
        self._counters.dev_tokens += 1
        _log.info("dev_token_issued", user=user)
        return web.json_response({"token": self.issue(user), "expires_in": self._ttl})

    def issue(self, user: str) -> str:
        """Return a connection token for the user."""
        now = int(self._clock.now())
        claims: dict[str, object] = {"sub": user, "iat": now, "exp": now + self._ttl}
        if self._audience:
            claims["aud"] = self._audience
        return jwt.encode(claims, self._secret, algorithm="HS256")
