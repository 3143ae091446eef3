"""What the gateway decides: pure code, the time passed in."""
