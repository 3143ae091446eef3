"""The parts of the SQLite store; each runs in a thread and knows nothing of the event loop."""
