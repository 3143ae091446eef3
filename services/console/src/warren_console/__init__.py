"""Warren's console service."""
