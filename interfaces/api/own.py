"""Own: the rights of the caller's key, and the budgets it spends from."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from threelane.interfaces.api.body import answered
from threelane.interfaces.api.caller import Caller
from threelane.interfaces.api.describe import answer, answers, problems
from threelane.interfaces.api.service import Shared
from threelane.producer.http.values import BudgetReport, Rights
from threelane.store import budgets
from threelane.store.api_key import ApiKey

router = APIRouter(tags=["this key"])
_RIGHTS = Rights("4f1c09a2b7e3", "shop", (1, 3), ("ACME",), ("logins",), False, False, False, 50, expires=1798761600000)
_BUDGET = BudgetReport("producer:shop", "day", 500_000_000, 12_400_000, "refuse")


@router.get("/key", responses=answer(200, Rights, "the rights of this key", _RIGHTS) | problems())
def own_rights(key: Caller) -> Response:
    """Return the rights of this key."""
    rights = {name: getattr(key, name) for name in Rights.__struct_fields__}
    return answered(Rights(**rights | {"evidence": key.may_read_evidence}))


@router.get("/budgets", responses=answers(200, BudgetReport, "budgets in force", _BUDGET) | problems())
def own_budgets(service: Shared, key: Caller) -> Response:
    """Return the budgets of this key's producer and cost centres; an operator or viewer key sees all budgets."""
    found = budgets.usage(service.redis, service.producer.now())
    return answered(
        [
            BudgetReport(one.scope, one.period, one.budget.limit, one.spent, one.budget.over)
            for one in found
            if key.may_view or one.scope in _scopes(key)
        ]
    )


def _scopes(key: ApiKey) -> set[str]:
    return {f"producer:{key.producer}", *(f"centre:{one}" for one in key.cost_centres)}
