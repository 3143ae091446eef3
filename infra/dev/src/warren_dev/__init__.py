"""Runs all of Warren on one machine, for development, tests and a first look."""
