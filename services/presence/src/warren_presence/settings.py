"""What presence can be told, from the environment."""

from __future__ import annotations

from pydantic import Field

from warren_shared.runtime.settings import ServiceSettings, service_config


class PresenceSettings(ServiceSettings):
    """Settings of presence, read as ``WARREN_PRESENCE_<FIELD>``."""

    model_config = service_config("presence")

    ops_port: int = Field(9121, ge=0, le=65535, description="Port of /metrics, /livez and /readyz.")
    max_members: int = Field(
        10_000,
        ge=1,
        description="Largest channel whose members are listed; a query of a larger one gets error 106.",
    )
    max_held_queries: int = Field(
        10_000, ge=1, description="Queries a partition keeps waiting while its index is filled; more get error 100."
    )
