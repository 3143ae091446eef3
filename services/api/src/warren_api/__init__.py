"""Warren's HTTP API: what backends that speak no AMQP publish, ask and order by."""
