"""Warren's presence service."""
