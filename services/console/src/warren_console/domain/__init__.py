"""Traces as values: what is kept, how a waterfall is assembled and how it is drawn as text."""
