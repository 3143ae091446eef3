"""What history can be told through its environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, SecretStr

from warren_history.store_url import check_store_url
from warren_shared.runtime.settings import ServiceSettings, service_config

LONGEST_SWEEP_PAUSE: Final = 30.0
"""Message ids age with the sweep: well below ``domain.idempotency.LONGEST_STEP``."""


def _usable(url: SecretStr) -> SecretStr:
    if url:
        check_store_url(url.get_secret_value())
    return url


StoreUrlSetting = Annotated[SecretStr, AfterValidator(_usable)]


class HistorySettings(ServiceSettings):
    """Read from ``WARREN_HISTORY_<FIELD>``; all times are seconds."""

    model_config = service_config("history")

    ops_port: int = Field(
        9131, ge=0, le=65535, description="Port of /metrics, /livez and /readyz; 0 takes any free one."
    )
    store_url: StoreUrlSetting = Field(
        SecretStr(""),
        description="A PostgreSQL database for the store, as postgresql:// URL; any number of history processes may "
        "share it. Without one the store is a file.",
    )
    store_path: Path = Field(
        Path("history.sqlite3"), description="The store's file, on a local disk; made if it is missing."
    )
    store_synchronous: Literal["full", "normal"] = Field(
        "full",
        description="full: what is acked survives a power cut. normal: saves a disk flush for each batch, and a "
        "power cut may take back the last publications and their offsets.",
    )
    store_readers: int = Field(2, ge=1, le=32, description="Reads of the store at the same time.")
    store_deadline_seconds: float = Field(10.0, gt=0, le=120, description="How long one store call may take.")
    idempotency_window_seconds: float = Field(
        3600.0, ge=60, le=7 * 86400, description="How long a message id is remembered, in time that history runs."
    )
    max_batch: int = Field(256, ge=1, le=2048, description="Publications stored in one transaction at most.")
    prefetch: int = Field(512, ge=1, le=8192, description="Deliveries a partition may have in hand.")
    publish_deadline_seconds: float = Field(
        10.0, gt=0, le=120, description="How long the broker may take to confirm a batch."
    )
    pack_deliveries: bool = Field(
        True,
        description="Send publications of a batch to gateways together, several in one message. Switch it off while "
        "there are gateways of 0.1.0, which cannot read that.",
    )
    hold_seconds: float = Field(
        120.0,
        gt=0,
        le=500,
        description="How long a step of a batch that fails is tried again before the batch is given back to the "
        "broker. All steps together must stay below the broker's consumer_timeout (30 minutes by default).",
    )
    page_publications: int = Field(300, ge=1, le=10_000, description="Publications in one page of a read at most.")
    page_bytes: int = Field(
        2_097_152, ge=1024, le=8_388_608, description="Payload bytes in one page; one publication always fits."
    )
    read_concurrency: int = Field(128, ge=1, le=1024, description="Reads answered at the same time.")
    sweep_seconds: float = Field(
        5.0, gt=0, le=LONGEST_SWEEP_PAUSE, description="Pause between two removals of what has expired."
    )
    sweep_slice: int = Field(500, ge=1, le=10_000, description="Rows of a kind removed in one transaction.")
    drain_seconds: float = Field(5.0, ge=0, le=60, description="How long a stop waits for batches in hand.")
