"""The parts of the PostgreSQL store: connections, and one function of the database for each kind of call."""
