"""What the command can be told, all of it by environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from warren_provision.broker_url import BrokerUrl
from warren_shared.contracts.namespaces import NamespaceFileError, Namespaces, parse_namespaces
from warren_shared.messaging.broker_url import check_broker_url
from warren_shared.topology.access import ACCESS
from warren_shared.topology.catalogue import DEFAULT_PARTITIONS, MAX_PARTITIONS


class SettingsError(Exception):
    """A variable is missing or wrong; the message is one line that names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """See README.md."""

    administrator: BrokerUrl
    management_url: str
    partitions: int
    namespaces: Namespaces | None
    passwords: Mapping[str, str]
    """By broker user."""


def password_variable(user: str) -> str:
    """Return the variable that holds a broker user's password."""
    return f"{user.upper().replace('-', '_')}_PASSWORD"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings. Raises SettingsError."""
    url = _required(environment, "WARREN_PROVISION_AMQP_URL")
    try:
        check_broker_url(url)
        administrator = BrokerUrl.parse(url)
    except ValueError as error:
        raise SettingsError(f"WARREN_PROVISION_AMQP_URL {error}") from error
    partitions = environment.get("WARREN_PARTITIONS") or str(DEFAULT_PARTITIONS)
    if not partitions.isdecimal() or not 1 <= int(partitions) <= MAX_PARTITIONS:
        raise SettingsError(f"WARREN_PARTITIONS must be a number from 1 to {MAX_PARTITIONS}")
    return Settings(
        administrator=administrator,
        management_url=_management_url(_required(environment, "WARREN_PROVISION_MANAGEMENT_URL")),
        partitions=int(partitions),
        namespaces=_namespaces(environment.get("WARREN_NAMESPACES_FILE", "")),
        passwords={access.user: _required(environment, password_variable(access.user)) for access in ACCESS},
    )


def _management_url(url: str) -> str:
    """Return the URL if it is one; the login is that of the AMQP URL, so it has none."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in url or "#" in url:
        raise SettingsError("WARREN_PROVISION_MANAGEMENT_URL is no URL like https://host:15671, without a login")
    return url


def _namespaces(file: str) -> Namespaces | None:
    if not file:
        return None
    try:
        return parse_namespaces(Path(file).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, NamespaceFileError) as error:
        raise SettingsError(f"WARREN_NAMESPACES_FILE {file}: {error}") from error


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise SettingsError(f"{name} must be set")
    return value
