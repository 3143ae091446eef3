"""Warren's exchanges, queues and bindings: frozen values, declared here and nowhere else."""
