-- PARTS move
-- Erase the numbers and texts of messages; their costs, times and states stay.
-- Messages of any account: what their accounts follow of them does not change.
-- An unreadable record is set aside first; it is the number's if what it held names the number anywhere.
-- KEYS  records   ARG  now, spelled (the spellings of a number; none: any number, if it ended by then), ended_by, ids
-- ->    for each 'erased', 'waits' (it is still to be sent), 'under_way' (an attempt has no known result), or '' (it does
--       not match, or was erased before)
local NOT_YET = {
  [Status.scheduled] = Erasing.waits, [Status.queued] = Erasing.waits,
  [Status.sending] = Erasing.under_way, [Status.in_doubt] = Erasing.under_way,
}
local answers, FIELDS = {}, {Field.status, Field.lane, Field.to, Field.ended, Field.erased,
  Field.damaged}

-- -> whether a record, or what it held before it was set aside, has one of the spellings.
local function is_of_number(known)
  for _, number in ipairs(ARG.spelled) do
    if known.to == number or known.damaged and string.find(known.damaged, number, 1, true) then return true end
  end
end

for i, id in ipairs(ARG.ids) do
  local record = KEY.records[i]
  local known = read_or_set_aside(record, id, FIELDS)
  local ended = known.status ~= Status.sent and not NOT_YET[known.status] and tonumber(known.ended)
  local is_old = #ARG.spelled == 0 and ended and ended <= ARG.ended_by
  answers[i] = ''
  if known.status and (is_old or is_of_number(known)) and not known.erased then
    answers[i] = NOT_YET[known.status] or Erasing.erased
    if answers[i] == Erasing.erased then
      drop(record, Field.to, Field.body, Field.print, Field.client, Field.text, Field.reports,
        Field.damaged)
      write(record, Field.erased, ARG.now)
      count_of(Count.erased, known.lane)
    end
  end
end
return moved(answers)
