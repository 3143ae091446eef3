"""Whatever the broker brings and history admits, it can send on: alone, and in a pack."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from warren_history.domain.admission import Admission
from warren_history.domain.publications import Appended, NewPublication
from warren_history.handlers.egress import Leaving, numbered, packed
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.messaging.lane.connection import LARGEST_FRAME
from warren_shared.messaging.lane.encoder import Encoder
from warren_shared.messaging.port import Delivery

ADMISSION = Admission(parse_namespaces("namespaces: [{name: chat, history_size: 10, history_ttl: 60s}]"))
LONGEST_SHORT_STRING = 255
LONGEST_INT64 = 2**63 - 1


def cut(text: str) -> str:
    """As much as a short string brings."""
    return text.encode()[:LONGEST_SHORT_STRING].decode(errors="ignore")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
NAMES = st.one_of(TEXT.map(lambda name: cut(f"tag-{name}")), st.just("traceparent"), TEXT.map(cut))


@given(
    st.dictionaries(NAMES, TEXT, max_size=5),
    st.none() | TEXT.map(cut),
    # What is no UTF-8 comes escaped, four characters for a byte.
    st.none() | TEXT.map(cut) | st.integers(1, 255).map(lambda size: "\\xff" * size),
)
@example({"tag-" + "n" * 251: "v"}, None, None)
@settings(max_examples=300, deadline=None)
def test_what_is_admitted_can_be_sent_alone_and_in_a_pack(
    headers: dict[str, str], message_id: str | None, content_type: str | None
) -> None:
    admitted = ADMISSION.admit("chat.a", b"1", headers, message_id=message_id, content_type=content_type)
    if not isinstance(admitted, NewPublication):
        return
    delivery = Delivery("warren.publish", "chat.a", b"1", headers, message_id, content_type=content_type)
    leaving = Leaving(delivery, Appended("e" * 22, LONGEST_INT64, 7, admitted.content), {})
    assert Encoder(LARGEST_FRAME).publish(1, numbered(leaving))
    assert packed(leaving) is not None
