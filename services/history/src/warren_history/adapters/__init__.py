"""Stores behind the port."""
