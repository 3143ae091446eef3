"""Warren's history service."""
