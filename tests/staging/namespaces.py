"""The namespace file of the suite under test: one namespace for each kind of promise."""

from __future__ import annotations

from typing import Final

NAMESPACES: Final = """
without_namespace:
  allow_subscribe_for_client: true
  allow_publish_for_subscriber: true
namespaces:
  - name: chat
    history_size: 1000
    history_ttl: 10m
    force_recovery: true
    presence: true
    join_leave: true
    force_push_join_leave: true
    allow_subscribe_for_client: true
    allow_publish_for_subscriber: true
    allow_presence_for_subscriber: true
    allow_history_for_subscriber: true
  - name: live
    presence: true
    allow_subscribe_for_client: true
    allow_publish_for_subscriber: true
    allow_presence_for_subscriber: true
  - name: ticks
    history_size: 1000
    history_ttl: 10m
    force_recovery: true
    allow_tags_filter: true
    allow_subscribe_for_client: true
  - name: stream
    history_size: 10000
    history_ttl: 10m
    force_recovery: true
    allow_subscribe_for_client: true
    allow_history_for_subscriber: true
  - name: short
    history_size: 5
    history_ttl: 10m
    force_recovery: true
    allow_subscribe_for_client: true
  - name: last
    history_size: 1
    history_ttl: 10m
    force_recovery: true
    force_recovery_mode: cache
    allow_subscribe_for_client: true
    allow_history_for_subscriber: true
  - name: board
    history_size: 10
    history_ttl: 10m
    force_recovery: true
    force_recovery_mode: cache
    auto_cache_recover: true
    allow_subscribe_for_client: true
  - name: tools
    allow_rpc_for_client: true
    allow_subscribe_for_client: true
    subscription_events: true
  - name: orders
    allow_patterns: true
    allow_subscribe_for_client: true
    allow_publish_for_client: true
  - name: trades
    allow_patterns: true
    history_size: 100
    history_ttl: 10m
    force_recovery: true
    presence: true
    allow_subscribe_for_client: true
    allow_publish_for_client: true
    allow_history_for_client: true
  - name: sheets
    history_size: 100
    history_ttl: 10m
    force_recovery: true
    allowed_delta_types: [fossil]
    delta_publish: true
    allow_subscribe_for_client: true
    allow_publish_for_subscriber: true
    allow_history_for_subscriber: true
  - name: halls
    presence: true
    occupancy_events: true
    allow_subscribe_for_client: true
  - name: readonly
    allow_subscribe_for_client: true
  - name: octets
    history_size: 10
    history_ttl: 10m
    force_recovery: true
    publication_data_format: binary
    allow_subscribe_for_client: true
    allow_publish_for_subscriber: true
    allow_history_for_subscriber: true
  - name: closed
    history_size: 10
    history_ttl: 10m
  - name: objects
    history_size: 10
    history_ttl: 10m
    publication_data_format: json_object
    allow_subscribe_for_client: true
    allow_publish_for_subscriber: true
  - name: inbox
    history_size: 100
    history_ttl: 10m
    force_recovery: true
    allow_user_limited_channels: true
    bind_namespace: true
"""
