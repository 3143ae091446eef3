"""What keeps Warren from running here."""

from __future__ import annotations


class SetupError(Exception):
    """Warren cannot run as things are; the message is for the person at the terminal, without a traceback."""
