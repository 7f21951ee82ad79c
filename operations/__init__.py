"""Operations: what people and Prometheus ask of a fleet: explain, doctor, check, metrics."""
