"""The HTTP API against its own description; `make fuzz-api` does the same with thousands of requests."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, Phase, given, settings

from tests.integration.http_api import Api
from threelane.contract import fields
from threelane.interfaces.api import describe
from threelane.producer.http import values

EACH = 3  # requests to each operation


def test_every_answer_is_as_described(api: Api) -> None:
    """No 5xx, no status, header or body that the description does not have, by requests good and bad."""
    import schemathesis  # takes a second: for this test alone
    from schemathesis.checks import CHECKS, not_a_server_error
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    assert CHECKS
    schema = schemathesis.openapi.from_dict(api.request("GET", "/openapi.json").body)
    headers = {"Authorization": f"Bearer {api.key('shop', operator=True)}"}
    requested = set()
    for operation in (found.ok() for found in schema.get_all_operations()):

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EACH,
            phases=[Phase.generate],
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        def request(case: Any) -> None:
            response = case.call(base_url=api.url, headers=headers)
            # a schema cannot express all rules of numbers and texts
            excluded = [positive_data_acceptance]
            if case.operation.path.startswith("/v1/account/"):  # no worker runs here to call the gateway: 503
                excluded.append(not_a_server_error)
            case.validate_response(response, excluded_checks=excluded, headers=headers)
            requested.add(case.operation.label)

        request()

    assert len(requested) == sum(len(one) for one in api.request("GET", "/openapi.json").body["paths"].values())


def test_every_field_of_a_message_is_described() -> None:
    """By the names that the table of fields has, with an example that is accepted."""
    described = describe.message()["properties"]

    assert set(fields.BY_SPELLING) == set(described)
    assert [] == [
        field.name
        for field in fields.FIELDS
        if not isinstance(field.parse(field.example, field.name), str | int | float | tuple | dict)
    ]


def test_every_example_can_be_read_as_its_type(api: Api) -> None:
    """Each example of the description can be read as its type."""
    kinds = {kind.__name__: kind for kind in values.ALL}
    wrong = []
    for path, operations in api.request("GET", "/openapi.json").body["paths"].items():
        for method, operation in operations.items():
            assert operation["description"], (method, path)
            for status, answer in operation["responses"].items():
                for content in answer["content"].values():
                    kind = kinds.get(content["schema"].get("$ref", "").rpartition("/")[2])
                    try:
                        msgspec.convert(content["example"], kind or Any)
                    except msgspec.ValidationError as invalid:
                        wrong.append((method, path, status, str(invalid)))

    assert [] == wrong
