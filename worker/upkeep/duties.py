"""Duties: the list of all periodic duties of a worker."""

from __future__ import annotations

from threelane.worker.account import credentials, requests
from threelane.worker.doubt import hurry, lapse, resolve, sample
from threelane.worker.fetch import held, look, release, reserved
from threelane.worker.gateway import keep_alive
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process import probe
from threelane.worker.process.duty import Duty
from threelane.worker.receipt import late, poll, stop
from threelane.worker.reply import confirm, reply
from threelane.worker.send import recover, windows
from threelane.worker.standby import relieve
from threelane.worker.upkeep import (
    adopt,
    beat,
    copy_outcomes,
    credit,
    erase,
    forget_waits,
    pauses,
    publish_ceiling,
    sweep,
)

DUTIES: tuple[Duty[WorkerContext], ...] = (
    held.DUTY,
    credentials.DUTY,
    reserved.DUTY,
    recover.DUTY,
    look.DUTY_1,
    look.DUTY,
    windows.DUTY,
    relieve.DUTY,
    adopt.DUTY,
    forget_waits.DUTY,
    pauses.DUTY,
    release.DUTY_1,
    release.DUTY,
    lapse.DUTY,
    hurry.DUTY,
    resolve.DUTY_1,
    resolve.DUTY,
    sample.DUTY,
    sweep.DUTY,
    beat.DUTY,
    publish_ceiling.DUTY,
    probe.DUTY,
    keep_alive.DUTY,
    poll.DUTY,
    credit.DUTY,
    requests.DUTY,
    requests.VOUCHER_DUTY,
    late.DUTY,
    stop.DUTY,
    reply.DUTY,
    confirm.DUTY,
    erase.DUTY,
    copy_outcomes.DUTY,
)
