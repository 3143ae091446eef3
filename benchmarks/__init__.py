"""Measures Warren against its budgets."""
