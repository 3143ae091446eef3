"""Warren's gateway service."""
