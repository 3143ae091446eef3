"""A delivery as it was read: its properties are decoded when somebody looks at one of them."""

from __future__ import annotations

from warren_shared.messaging.lane.properties import Properties, decode_properties
from warren_shared.messaging.port import Delivery, Headers


class ReadDelivery(Delivery):
    """Says what any Delivery says. Whoever only needs to know where it is to go pays for nothing else."""

    __slots__ = ("_properties", "content")

    # The base is frozen, and setting an attribute of a frozen dataclass costs six times as much: object's own
    # methods come back for the constructor's sake. Nobody sets one later.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__

    def __init__(self, route: tuple[str, str], body: bytes, content: bytes, tag: int, *, redelivered: bool) -> None:
        """``route`` is the exchange and the routing key, ``content`` the properties with their flags before them."""
        self.exchange, self.routing_key = route  # type: ignore[misc]  # see above
        self.body, self.tag, self.redelivered = body, tag, redelivered  # type: ignore[misc]  # see above
        self.content = content
        self._properties: Properties | None = None

    @property
    def headers(self) -> Headers:
        return self._read()[0]

    @property
    def message_id(self) -> str | None:
        return self._read()[1]

    @property
    def type(self) -> str | None:
        return self._read()[2]

    @property
    def content_type(self) -> str | None:
        return self._read()[3]

    @property
    def correlation_id(self) -> str | None:
        return self._read()[4]

    @property
    def reply_to(self) -> str | None:
        return self._read()[5]

    def _read(self) -> Properties:
        properties = self._properties
        if properties is None:
            properties = self._properties = decode_properties(self.content)
        return properties
