-- PARTS move, owners
-- Set the next poll of messages without a receipt; receipt.lua has already applied the results of this one.
-- A message that the gateway knows by another id of its own keeps that id; one that it does not know at all is in doubt.
-- KEYS  records   ARG  now, keep_ms, look_up_at (of a doubt), updates
-- ->    for each 'again', 'unknown', 'reopened', or '' when its end is known by now
local NO_RECEIPT, answers, FIELDS = 'no_receipt', {}, fields(Field.gateway_id, Field.former_id, Field.expires)
each(ARG.updates, function(i, one)
  answers[i] = ''
  local record, id, again_at = KEY.records[i], one[PollUpdate.id], one[PollUpdate.again_at]
  local known = read(record, FIELDS)
  if not is_own(known) then return end
  local gateway_id = one[PollUpdate.gateway_id]
  local is_ours = known.gateway_id and gateway_id ~= known.gateway_id and gateway_id ~= known.former_id
  if gateway_id ~= '' and known.status and is_ours then
    note_owner(known.gateway_id, gateway_id, id)
    write(record, Field.gateway_id, gateway_id)
    count_of(Count.renamed, known.lane)
  end
  if known.status == Status.sent then
    if one[PollUpdate.counts] then add_one(record, Field.asks) end
    if one[PollUpdate.is_gone] or tonumber(known.expires) <= ARG.now then drop(record, Field.body) end
    if one[PollUpdate.is_gone] then
      drop(record, Field.probes, Field.retry)
      move(record, id, known, Status.in_doubt, ARG.look_up_at, Field.doubted, ARG.now, Field.code, Disowned.code,
        Field.reason, Disowned.reason, Field.owner, Owner.gateway)
      keep(record)
      count_of(Count.reopened, known.lane)
      answers[i] = Polled.reopened
    elseif again_at > 0 then
      index(KEY.awaiting[known.lane], id, again_at)
      answers[i] = Polled.again
    elseif move(record, id, known, Status.unknown, 0, Field.ended, ARG.now, Field.code, NO_RECEIPT,
      Field.reason, NO_RECEIPT, Field.owner, Owner.gateway) then
      keep_for(record, ARG.keep_ms)
      count(Count.unknown .. NO_RECEIPT .. ':' .. Owner.gateway)
      answers[i] = Polled.unknown
    end
  end
end, function(one) return one[PollUpdate.id] end)
return moved(answers)
