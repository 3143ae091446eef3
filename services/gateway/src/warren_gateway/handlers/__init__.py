"""What the gateway does between its sockets and the bus."""
