-- PARTS move
-- Blame messages for an exception of our own code: one whose request may have left is in doubt, another is retried, and
-- after the last retry it is a dead letter.
-- KEYS  records
-- ARG   now, again_at (of a retry), wait (seconds until then), look_up_at (of a doubt), keep_ms (of dead letters), most
--       (such attempts), faults
-- ->    for each its new state, or '' when it was settled elsewhere
local answers, FIELDS = {}, fields(Field.token, Field.faults, Field.waits, Field.unsure, Field.stand_by)
local ERROR = {Field.reason, FaultCode.internal_error, Field.owner, Owner.operator}

each(ARG.faults, function(i, one)
  answers[i] = ''
  local record, id, token = KEY.records[i], one[Fault.id], one[Fault.token]
  local known = read(record, FIELDS)
  local text = one[Fault.place]
  if not is_own(known) or known.token ~= (token ~= '' and token or nil) or token == '' and known.status ~= Status.queued then
    count(Count.stale_settle)
    return
  end
  if one[Fault.is_damaged] then
    set_aside_and_report(record, id, '', Field.body, Field.body)
    answers[i] = Status.dead
    return
  end
  if one[Fault.has_left] then
    if known.stand_by then write_first(record, Field.unsure, token ~= '' and token or id) end
    if move(record, id, known, Status.in_doubt, ARG.look_up_at, Field.doubted, ARG.now, Field.text, text,
      Field.code, FaultCode.unprocessed, unpack(ERROR)) then
      count(Count.in_doubt .. known.lane .. ':' .. FaultCode.unprocessed)
      answers[i] = Status.in_doubt
    end
    return
  end
  if token ~= '' and known.unsure == token then drop(record, Field.unsure) end
  local faults = (tonumber(known.faults) or 0) + 1
  if faults >= ARG.most then
    if move(record, id, known, Status.dead, ARG.now, Field.faults, faults, Field.ended, ARG.now, Field.text, text,
      Field.code, FaultCode.internal_error, unpack(ERROR)) then
      if known.status ~= Status.dead then return end  -- it was cancelled during the attempt
      keep_for(record, ARG.keep_ms)
      count(Count.dead .. FaultCode.internal_error .. ':' .. Owner.operator)
      answers[i] = Status.dead
    end
  elseif move(record, id, known, Status.scheduled, ARG.again_at, Field.faults, faults, Field.text, text,
    Field.code, FaultCode.internal_error, Field.waits, (known.waits and known.waits .. ' ' or '') .. ARG.wait, unpack(ERROR)) then
    if known.status == Status.cancelled then return end  -- cancelled during the attempt
    count(Count.retried .. known.lane .. ':' .. FaultCode.internal_error)
    answers[i] = Status.scheduled
  end
end, function(one) return one[Fault.id] end)
return moved(answers)
