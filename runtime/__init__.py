"""Runtime: settings, logs, clock, TLS and tracing of every process."""
