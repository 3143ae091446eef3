"""HTTP on one side, the bus on the other."""
