"""What crosses the wire between Warren's services, and the plumbing all of them share."""
