-- PARTS move
-- Set the next poll of messages without a receipt; receipt.lua has already applied the results of this one.
-- KEYS  records   ARG  now, keep_ms, updates
-- ->    for each 'again', 'unknown', or '' when its end is known by now
local NO_RECEIPT, answers, FIELDS = 'no_receipt', {}, fields()
for i, one in ipairs(ARG.updates) do
  local record, id, again_at = KEY.records[i], one[PollUpdate.id], one[PollUpdate.again_at]
  local known = read(record, FIELDS)
  answers[i] = ''
  if known.status == Status.sent then
    if one[PollUpdate.counts] then add_one(record, Field.asks) end
    if again_at > 0 then
      index(KEY.awaiting[known.lane], id, again_at)
      answers[i] = Polled.again
    elseif move(record, id, known, Status.unknown, 0, Field.ended, ARG.now, Field.code, NO_RECEIPT,
      Field.reason, NO_RECEIPT, Field.owner, Owner.gateway) then
      keep_for(record, ARG.keep_ms)
      count(Count.unknown .. NO_RECEIPT .. ':' .. Owner.gateway)
      answers[i] = Polled.unknown
    end
  end
end
return moved(answers)
