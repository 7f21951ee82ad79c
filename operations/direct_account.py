"""Direct account: a request to the gateway that this process makes itself, with its own credentials."""

from __future__ import annotations

import asyncio

from pydantic import SecretStr

from threelane.operations.account import Call
from threelane.store.account_requests import AccountAnswer, AccountQuery
from threelane.worker.account.ask import ask
from threelane.worker.gateway.choose import gateway
from threelane.worker.process.settings import AccountSettings


def directly(settings: AccountSettings) -> Call:
    """Return the call that this process makes with its own credentials."""

    async def make(query: AccountQuery, msisdn: str, voucher: SecretStr) -> AccountAnswer:
        api = gateway(settings)
        try:
            return await ask(api, query, msisdn, voucher)
        finally:
            await api.close()

    return lambda query, msisdn, voucher: asyncio.run(make(query, msisdn, voucher))
