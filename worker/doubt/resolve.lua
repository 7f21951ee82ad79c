-- PARTS move
-- Record look-ups that did not find the message. receipt.lua applies those that did.
-- A result counts once, and only for the doubt it was requested in: a late one proves nothing of a later doubt.
-- From doubt a message is sent again once at most, whatever a caller requests; the retry of a refusal is not such a resend.
-- KEYS  records   ARG  now, keep_ms, looked_up
-- ->    for each its lane when it was moved or put off, or '' when something else had settled it
local ENDED = {[Status.dead] = Count.dead, [Status.unknown] = Count.unknown}
local answers, FIELDS = {}, fields(Field.probes, Field.doubted, Field.retry, Field.resent, Field.code,
  Field.former_id)
each(ARG.looked_up, function(i, one)
  answers[i] = ''
  local record, id, to, at = KEY.records[i], one[LookedUp.id], one[LookedUp.to], one[LookedUp.at]
  local code, owner = one[LookedUp.code], one[LookedUp.owner]
  local known = read(record, FIELDS)
  local resends = to == Status.queued and not known.retry
  if known.status == Status.in_doubt and is_own(known) and (tonumber(known.probes) or 0) == one[LookedUp.probes]
    and tonumber(known.doubted) == one[LookedUp.since] and not (resends and known.resent)
    and not (to == Status.queued and known.former_id) then
    answers[i] = known.lane
    if one[LookedUp.counts] then add_one(record, Field.probes) end
    if code ~= '' then write(record, Field.code, code, Field.reason, one[LookedUp.reason], Field.owner, owner) end
    if to == Unresolved.look_up_again then
      index(KEY.doubt[known.lane], id, at)
    else
      move(record, id, known, to, at)
      drop(record, Field.probes, Field.retry)
      if known.status == Status.cancelled then  -- in doubt; it is stopped if the gateway shows it later
        answers[i] = ''
        return
      end
      drop(record, Field.doubted)
      if known.retry and to == Status.queued then
        count(Count.retried .. known.lane .. ':' .. known.code)
      else
        count(Count.resolved .. to)
      end
      if resends then write(record, Field.resent, ARG.now) end
      if to ~= Status.queued then
        write(record, Field.ended, ARG.now)
        keep_for(record, ARG.keep_ms)
        count(ENDED[to] .. code .. ':' .. owner)
      end
    end
  end
end, function(one) return one[LookedUp.id] end)
return moved(answers)
