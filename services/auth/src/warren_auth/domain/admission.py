"""Admission: the answer to a client that connects or refreshes its connection.

Outcomes follow the client protocol: an expired token is error 109 at connect and disconnect 3005 at
refresh; any other bad token is disconnect 3500; no token, where anonymous users are not admitted, 3501.
"""

from __future__ import annotations

from warren_auth.domain.claims import Claims
from warren_auth.domain.decisions import Decision, Outcome, RefusedError, refused
from warren_auth.domain.policy import Policy
from warren_auth.domain.tokens import ExpiredTokenError, InvalidTokenError, TokenVerifier
from warren_shared.contracts.auth import Admitted, ConnectRequest, RefreshRequest
from warren_shared.contracts.channels import ChannelNameError, check_channel, check_pattern
from warren_shared.contracts.codes import Disconnect, Disconnects, ErrorCode, Errors
from warren_shared.contracts.namespaces import Namespaces


class Admission:
    """Decides about clients by their tokens and by the namespaces in force."""

    def __init__(
        self,
        verifier: TokenVerifier,
        namespaces: Namespaces,
        *,
        allow_anonymous: bool,
        max_channels: int,
        insecure: bool = False,
    ) -> None:
        """``insecure``: whoever brings no token is let in, may do what namespaces offer, and does not expire; a token
        that is brought is looked at as ever.
        """
        self._verifier, self._insecure = verifier, insecure
        self._allow_anonymous, self._max_channels = allow_anonymous or insecure, max_channels
        self._policy = Policy(namespaces, insecure=insecure)

    def use(self, namespaces: Namespaces) -> None:
        """Decide by other namespaces from now on."""
        self._policy = Policy(namespaces, insecure=self._insecure)

    def connect(self, request: ConnectRequest, now: float) -> Decision:
        """Decide about a client that connects. Never raises."""
        try:
            return self._connect(request, now)
        except RefusedError as refusal:
            return Decision(refusal.outcome, refused(refusal.answer, refusal.detail))

    def refresh(self, request: RefreshRequest, now: float) -> Decision:
        """Decide about a connected client that brings a new token. Never raises."""
        try:
            claims = self._verified(request.token, now, if_expired=Disconnects.EXPIRED)
            if claims.user != request.user:
                detail = "token is another user's"
                raise RefusedError(Outcome.OTHER_USER, Disconnects.INVALID_TOKEN, detail)
            return Decision(Outcome.ADMITTED, self._admitted(claims, now, if_expired=Disconnects.EXPIRED))
        except RefusedError as refusal:
            return Decision(refusal.outcome, refused(refusal.answer, refusal.detail))

    def _connect(self, request: ConnectRequest, now: float) -> Decision:
        if not request.token:
            if not self._allow_anonymous:
                raise RefusedError(Outcome.NO_TOKEN, Disconnects.BAD_REQUEST, "client brings no token")
            return Decision(Outcome.ANONYMOUS, Admitted(grants=self._policy.grants("")))
        claims = self._verified(request.token, now, if_expired=Errors.TOKEN_EXPIRED)
        return Decision(Outcome.ADMITTED, self._admitted(claims, now, if_expired=Errors.EXPIRED))

    def _verified(self, token: str, now: float, *, if_expired: ErrorCode | Disconnect) -> Claims:
        try:
            return self._verifier.verify(token, now)
        except ExpiredTokenError as error:
            raise RefusedError(Outcome.EXPIRED_TOKEN, if_expired, str(error)) from None
        except InvalidTokenError as error:
            raise RefusedError(Outcome.INVALID_TOKEN, Disconnects.INVALID_TOKEN, str(error)) from None

    def _admitted(self, claims: Claims, now: float, *, if_expired: ErrorCode | Disconnect) -> Admitted:
        if claims.connection_expires is not None and claims.connection_expires <= now:
            raise RefusedError(Outcome.EXPIRED_CONNECTION, if_expired, "expire_at has passed")
        self._check_channels(claims.channels)
        own = self._policy.personal_channels(claims.user)
        channels = (*claims.channels, *(channel for channel in own if channel not in claims.channels))
        named = self._policy.channel_grants(claims.user, channels)
        return Admitted(
            user=claims.user,
            info=claims.info,
            expire_at=None if self._insecure else claims.connection_expires,
            channels=channels,
            grants=(*self._policy.grants(claims.user), *named),
        )

    def _check_channels(self, channels: tuple[str, ...]) -> None:
        """Refuse a token that names a channel nobody could subscribe to.

        Leaving such a channel out would admit the client without what its backend meant it to have,
        and nobody would notice; the codes are those a subscribe command would get.
        """
        if len(channels) > self._max_channels:
            detail = f"token names more than {self._max_channels} channels"
            raise RefusedError(Outcome.TOO_MANY_CHANNELS, Disconnects.CHANNEL_LIMIT, detail)
        for position, channel in enumerate(channels):
            if not self._is_legal(channel):
                detail = f"channels[{position}] of the token is no legal channel name"
                raise RefusedError(Outcome.ILLEGAL_CHANNEL, Errors.BAD_REQUEST, detail)
            if not self._policy.knows(channel):
                detail = f"channels[{position}] of the token is in no known namespace"
                raise RefusedError(Outcome.UNKNOWN_CHANNEL, Errors.UNKNOWN_CHANNEL, detail)

    def _is_legal(self, channel: str) -> bool:
        pattern = self._policy.shows_pattern(channel)
        try:
            (check_pattern if pattern else check_channel)(channel)
        except ChannelNameError:
            return False
        return pattern or self._policy.names(channel)
