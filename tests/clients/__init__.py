"""Warren's other side: the official SDKs, a bare WebSocket and a plain AMQP backend."""
