"""Console logins: somebody tries keys from the address of the proxy that all operators share."""

from __future__ import annotations

import redis

from tests.integration.console import Visitor
from tests.integration.http_api import Api
from threelane.store import keys, logins

ATTEMPTS = 60


def test_wrong_keys_keep_no_operator_out(api: Api) -> None:
    """Before: ten of them locked the right key out for 300 s. Also with the key's own id, which is public."""
    key = api.key("ops", operator=True)
    attacker, operator = Visitor(api), Visitor(api)
    own_id = key.rpartition("_")[0][:16]
    statuses = [attacker.log_in(f"{own_id}_{number}").status for number in range(ATTEMPTS)]
    assert [403] * logins.FREE + [429] * (ATTEMPTS - logins.FREE) == statuses
    assert 200 == operator.log_in(key).status


def test_a_flood_of_ids_fills_no_memory_and_is_reported(api: Api, client: redis.Redis) -> None:
    """A count for each id that somebody invents would have no limit."""
    attacker = Visitor(api)
    for number in range(ATTEMPTS):
        attacker.log_in(f"tl_k{number:012x}_x")
    names = list(client.scan_iter(keys.console_tries("*"), count=1000))
    assert len(names) <= 1 + 1 + ATTEMPTS  # the total, one address, and buckets of ids: 4096 at most
    assert all(client.pttl(name) > 0 for name in names)
    assert ATTEMPTS == logins.refused_recently(client)
    assert str(ATTEMPTS).encode() == client.hget(keys.TALLY, "login_refused:wrong_key")


def test_a_viewer_changes_nothing(api: Api) -> None:
    """The server refuses, whatever the page shows."""
    viewer = Visitor(api)
    viewer.log_in(api.key("audit", viewer=True))
    assert 403 == viewer.post("/console/hold", follow=False, scope="account", cause="x").status
    assert not api.redis.hgetall(keys.HOLDS)
