"""The processes of the integration tests, which these tests kill."""

from tests.integration.conftest import base_environment, producer, until, workers

__all__ = ["base_environment", "producer", "until", "workers"]
