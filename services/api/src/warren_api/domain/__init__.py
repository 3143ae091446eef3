"""What the API decides without any I/O."""
