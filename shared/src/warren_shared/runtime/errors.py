"""Mistakes that keep a service from starting."""

from __future__ import annotations

from typing import Final

CONFIG_EXIT_CODE: Final = 78
"""``EX_CONFIG`` of sysexits.h: starting again changes nothing until somebody mends the settings."""


class StartupError(Exception):
    """The service cannot start; the message is one line for the person who starts it."""
