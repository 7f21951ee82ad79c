"""The extremes of every field, on every API: what intake accepts the sandbox takes, what it refuses intake refuses."""
