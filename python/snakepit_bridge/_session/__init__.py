"""`SessionContext` and the variables of its session."""
