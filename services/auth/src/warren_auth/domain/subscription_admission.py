"""Whether a client may be subscribed to a channel, by the token it brings for it.

Outcomes follow the client protocol: an expired token is error 109. At subscribe a token that is none is error 103, at
sub_refresh disconnect 3500; one for another user or channel is disconnect 3500 at both.
"""

from __future__ import annotations

from warren_auth.domain.decisions import Decision, Outcome, RefusedError, refused
from warren_auth.domain.policy import Policy
from warren_auth.domain.tokens import ExpiredTokenError, InvalidTokenError, TokenVerifier
from warren_shared.contracts.auth import Allowed, SubRefreshRequest, SubscribeRequest
from warren_shared.contracts.codes import Disconnect, Disconnects, ErrorCode, Errors
from warren_shared.contracts.namespaces import Namespaces


class SubscriptionAdmission:
    """Decides about subscriptions by their tokens."""

    def __init__(self, verifier: TokenVerifier, namespaces: Namespaces) -> None:
        self._verifier, self._policy = verifier, Policy(namespaces)

    def use(self, namespaces: Namespaces) -> None:
        """Decide by other namespaces from now on."""
        self._policy = Policy(namespaces)

    def subscribe(self, request: SubscribeRequest, now: float) -> Decision:
        """Decide about a client that subscribes. Never raises."""
        return self._decide(request, now, if_invalid=Errors.PERMISSION_DENIED)

    def sub_refresh(self, request: SubRefreshRequest, now: float) -> Decision:
        """Decide about a subscribed client that brings a new token. Never raises."""
        return self._decide(request, now, if_invalid=Disconnects.INVALID_TOKEN)

    def _decide(
        self, request: SubscribeRequest | SubRefreshRequest, now: float, *, if_invalid: ErrorCode | Disconnect
    ) -> Decision:
        try:
            return Decision(Outcome.ALLOWED, self._allowed(request, now, if_invalid))
        except RefusedError as refusal:
            return Decision(refusal.outcome, refused(refusal.answer, refusal.detail))

    def _allowed(
        self, request: SubscribeRequest | SubRefreshRequest, now: float, if_invalid: ErrorCode | Disconnect
    ) -> Allowed:
        try:
            claims = self._verifier.verify_subscription(request.token, now)
        except ExpiredTokenError as error:
            raise RefusedError(Outcome.EXPIRED_TOKEN, Errors.TOKEN_EXPIRED, str(error)) from None
        except InvalidTokenError as error:
            raise RefusedError(Outcome.INVALID_TOKEN, if_invalid, str(error)) from None
        if claims.user != request.user:
            raise RefusedError(Outcome.OTHER_USER, Disconnects.INVALID_TOKEN, "token is another user's")
        if claims.channel != request.channel:
            raise RefusedError(Outcome.OTHER_CHANNEL, Disconnects.INVALID_TOKEN, "token is for another channel")
        if claims.subscription_expires is not None and claims.subscription_expires <= now:
            raise RefusedError(Outcome.EXPIRED_SUBSCRIPTION, Errors.EXPIRED, "expire_at has passed")
        return Allowed(
            info=claims.info,
            data=claims.data,
            expire_at=claims.subscription_expires,
            grants=self._policy.channel_grants(request.user, (request.channel,)),
        )
