"""What connects the gateway to sockets and to the bus."""
