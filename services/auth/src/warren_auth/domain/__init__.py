"""Who a client is and what it may do: pure decisions, with the time passed in."""
