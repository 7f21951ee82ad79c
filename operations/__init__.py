"""Operations: reports on a fleet for people and Prometheus: explain, doctor, check, metrics."""
