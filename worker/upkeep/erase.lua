-- PARTS record, tally
-- Erase the numbers and texts of messages; their costs, times and states stay.
-- KEYS  records   ARG  now, number ('': any, if it ended by then), ended_by
-- ->    for each 'erased', 'waits' (it is still to be sent), 'under_way' (an attempt has no known result), or '' (it does
--       not match, or was erased before)
local NOT_YET = {
  [Status.scheduled] = Erasing.waits, [Status.queued] = Erasing.waits,
  [Status.sending] = Erasing.under_way, [Status.in_doubt] = Erasing.under_way,
}
local number, answers, FIELDS = ARG.number, {}, {Field.status, Field.lane, Field.to, Field.ended, Field.erased}
for i = 1, #KEY.records do
  local record = KEY.records[i]
  local known = read(record, FIELDS)
  local ended = known.status ~= Status.sent and not NOT_YET[known.status] and tonumber(known.ended)
  local meant = number ~= '' and known.to == number or number == '' and ended and ended <= ARG.ended_by
  answers[i] = ''
  if known.status and meant and not known.erased then
    answers[i] = NOT_YET[known.status] or Erasing.erased
    if answers[i] == Erasing.erased then
      drop(record, Field.to, Field.body, Field.print, Field.client, Field.text, Field.reports)
      write(record, Field.erased, ARG.now)
      count_of(Count.erased, known.lane)
    end
  end
end
return tallied(answers)
