"""Everything a test run sets up: a broker of its own, and the whole suite as real processes."""
