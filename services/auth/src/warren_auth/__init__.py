"""Warren's auth service."""
