"""HTTP: what only operators do, beside what the producers' API offers."""
