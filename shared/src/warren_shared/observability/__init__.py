"""Metrics, logs and traces: what every service shows of itself."""
