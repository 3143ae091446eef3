"""Namespace options: the one YAML file that decides everything about channels.

Options carry Centrifugo's names and meaning, so its users can bring their configuration. The file is
no message: an option, or a value of one, that is not known is refused, because it is most likely a
mistake, and left out it might open a channel. It is used once all services know it. The file::

    without_namespace: {allow_subscribe_for_client: true}
    namespaces:
      - name: chat
        history_size: 100
        history_ttl: 1h
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from warren_shared.contracts.channel_regex import check_regex, matches
from warren_shared.contracts.channels import NAMESPACE_NAME, namespace_of
from warren_shared.contracts.yaml_document import RepeatedKeyError, load_yaml

_UNIT_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


class NamespaceFileError(ValueError):
    """The namespace file is invalid; the message is one line that names the key."""


def parse_duration(value: object) -> object:
    """Turn ``"1h30m"``, ``"300s"`` or a number of seconds into seconds."""
    if not isinstance(value, str):
        return value
    parts = _DURATION_PART.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise ValueError("is no duration: write a number and a unit, like 300s, 10m, 1h or 30d")
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)


LONGEST_SECONDS: Final = 3650 * 86400.0
"""Ten years. What is longer, or infinite, is a mistake, and does not fit the store's times."""

Seconds = Annotated[float, BeforeValidator(parse_duration), Field(le=LONGEST_SECONDS, allow_inf_nan=False)]


_OF_STREAMS: Final = (
    "force_recovery",
    "allow_recovery",
    "force_positioning",
    "allow_positioning",
    "allowed_delta_types",
)


class NamespaceOptions(BaseModel):
    """The options of one namespace; everything is off until it is switched on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    presence: bool = Field(False, description="Keep who is subscribed, and answer presence queries.")
    join_leave: bool = Field(False, description="Push joins and leaves to subscribers that ask for them.")
    force_push_join_leave: bool = Field(False, description="Push joins and leaves to every subscriber.")
    history_size: int = Field(
        0, ge=0, le=1_000_000, description="Publications kept per channel; above 0 the namespace is durable."
    )
    history_ttl: Seconds = Field(
        0.0, ge=0, description="How long a publication is kept; needed where history_size is set."
    )
    history_meta_ttl: Seconds = Field(
        30 * 86400.0, gt=0, description="How long epoch and offset outlive the last publication."
    )
    force_recovery: bool = Field(False, description="Every subscription recovers after a reconnect.")
    allow_recovery: bool = Field(False, description="A subscription that asks for it recovers.")
    force_recovery_mode: Literal["stream", "cache"] = Field(
        "stream", description="What recovery gives: all that was missed, or just the latest publication."
    )
    auto_cache_recover: bool = Field(
        False, description="Every subscription is given the latest publication; needs force_recovery and mode cache."
    )
    force_positioning: bool = Field(False, description="Every subscription carries a stream position.")
    allow_positioning: bool = Field(False, description="A subscription that asks for it carries a stream position.")
    allowed_delta_types: tuple[Literal["fossil"], ...] = Field(
        (), description="How subscriptions that ask for it are sent differences in place of whole publications."
    )
    delta_publish: bool = Field(
        False, description="Publications may be sent as differences, to those who asked; else they get them whole."
    )
    allow_subscribe_for_client: bool = Field(False, description="Any user with an identity may subscribe.")
    allow_subscribe_for_anonymous: bool = Field(False, description="Anonymous users may subscribe too.")
    allow_publish_for_subscriber: bool = Field(False, description="Who is subscribed to a channel may publish to it.")
    allow_publish_for_client: bool = Field(False, description="Any user with an identity may publish.")
    allow_publish_for_anonymous: bool = Field(False, description="Anonymous users may publish too.")
    allow_presence_for_subscriber: bool = Field(False, description="Who is subscribed may query presence.")
    allow_presence_for_client: bool = Field(False, description="Any user with an identity may query presence.")
    allow_presence_for_anonymous: bool = Field(False, description="Anonymous users may query presence too.")
    allow_history_for_subscriber: bool = Field(False, description="Who is subscribed may read history.")
    allow_history_for_client: bool = Field(False, description="Any user with an identity may read history.")
    allow_history_for_anonymous: bool = Field(False, description="Anonymous users may read history too.")
    allow_rpc_for_client: bool = Field(
        False, description="Any user with an identity may call backends' methods of this namespace (name:method)."
    )
    allow_rpc_for_anonymous: bool = Field(False, description="Anonymous users may call them too.")
    subscription_events: bool = Field(
        False, description="Backends are told on warren.events of every subscription and its end."
    )
    occupancy_events: bool = Field(
        False, description="Backends are told on warren.events of a channel's first occupant and its last one's end."
    )
    allow_patterns: bool = Field(
        False, description="Whoever may subscribe to the namespace's channels may subscribe to patterns of them."
    )
    allow_tags_filter: bool = Field(
        False, description="Subscriptions may say by tags which publications they want; the others are not sent."
    )
    allow_user_limited_channels: bool = Field(False, description="A channel name#42,43 admits exactly users 42 and 43.")
    publication_data_format: Literal["json", "json_object", "binary"] = Field(
        "json", description="What a publication's data must be; clients on JSON receive JSON formats only."
    )
    channel_regex: Annotated[str, AfterValidator(check_regex)] = Field(
        "", description="A regular expression (RE2) that channels' names, without the namespace, must match."
    )
    personal_channel: bool = Field(
        False, description="Every user with an identity is subscribed to its own channel, name:#user, as it connects."
    )
    bind_namespace: bool = Field(
        False, description="Gateways bind the whole namespace at once; for namespaces of personal channels."
    )

    def names(self, channel: str) -> bool:
        """Whether a channel of this namespace may have its name."""
        return not self.channel_regex or matches(self.channel_regex, channel)

    @property
    def durable(self) -> bool:
        """Whether publications are stored, numbered and recoverable."""
        return self.history_size > 0

    @property
    def latest_only(self) -> bool:
        """Whether who recovers is given just the latest publication."""
        return self.force_recovery_mode == "cache"

    @model_validator(mode="after")
    def _consistent(self) -> NamespaceOptions:
        if self.durable and self.history_ttl <= 0:
            raise ValueError("history_size needs a history_ttl above 0")
        if not self.durable:
            for option in _OF_STREAMS:
                if getattr(self, option):
                    raise ValueError(f"{option} needs history_size and history_ttl")
            if self.latest_only:
                raise ValueError("force_recovery_mode cache needs history_size and history_ttl")
        if self.auto_cache_recover and not (self.force_recovery and self.latest_only):
            raise ValueError("auto_cache_recover needs force_recovery and force_recovery_mode cache")
        if self.durable and self.history_meta_ttl < self.history_ttl:
            raise ValueError("history_meta_ttl must not be shorter than history_ttl")
        if self.occupancy_events and not self.presence:
            raise ValueError("occupancy_events needs presence")
        if self.force_push_join_leave and not self.join_leave:
            raise ValueError("force_push_join_leave needs join_leave")
        return self


class _NamedOptions(NamespaceOptions):
    name: str

    @model_validator(mode="after")
    def _legal_name(self) -> _NamedOptions:
        if not NAMESPACE_NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r} must be 2 to 64 of a-z A-Z 0-9 _ -")
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    without_namespace: NamespaceOptions | None = None
    namespaces: list[_NamedOptions]
    """Required, though it may be empty: a file without it is likely half written."""


@dataclass(frozen=True, slots=True)
class Namespaces:
    """The namespaces of one valid file. ``""`` names the channels without a namespace."""

    by_name: Mapping[str, NamespaceOptions]

    @property
    def personal(self) -> tuple[str, ...]:
        """Return the namespaces that have a channel for each user."""
        return tuple(name for name, options in self.by_name.items() if options.personal_channel)

    def of_channel(self, channel: str) -> NamespaceOptions | None:
        """Return the options of a channel's namespace, None if the namespace is unknown."""
        return self.by_name.get(namespace_of(channel))

    def __iter__(self) -> Iterator[str]:
        """Iterate over the namespace names."""
        return iter(self.by_name)


def parse_namespaces(text: str) -> Namespaces:
    """Read a namespace file's text. Raises NamespaceFileError, whose message names the key."""
    try:
        document = load_yaml(text)
    except RepeatedKeyError as error:
        raise NamespaceFileError(str(error)) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise NamespaceFileError("is no YAML: " + " ".join(str(error).split())) from error
    if document is None:
        raise NamespaceFileError("is empty; a file without namespaces says 'namespaces: []'")
    if not isinstance(document, dict):
        raise NamespaceFileError("must be a mapping with 'namespaces' and 'without_namespace'")
    try:
        file = _File.model_validate(document)
    except ValidationError as error:
        raise NamespaceFileError(_first_mistake(document, error)) from error
    by_name: dict[str, NamespaceOptions] = {}
    if file.without_namespace is not None:
        by_name[""] = file.without_namespace
    for named in file.namespaces:
        if named.name in by_name:
            raise NamespaceFileError(f"namespaces: name {named.name!r} is given twice")
        by_name[named.name] = named
    return Namespaces(by_name)


def _first_mistake(document: dict[object, object], error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    where: list[str] = []
    node: object = document
    for step in first["loc"]:
        if isinstance(step, int) and isinstance(node, list) and step < len(node):
            node = node[step]
            name = node.get("name") if isinstance(node, dict) else None
            where.append(f"[{name or step}]")
        else:
            node = node.get(step) if isinstance(node, dict) else None
            where.append(f".{step}" if where else str(step))
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "is no known option"
    return f"{''.join(where)}: {message}"
