"""Runtime: what every process needs: settings, logs, clock, TLS, tracing."""
