-- PARTS move
-- Put messages with a lapsed lease in doubt: their worker died or hung during the call; only a look-up can resolve them.
-- KEYS  lapsed_in (their index), records   ARG  now, look_up_at (of the first look-up), ids
-- ->    for each id 1, or 0 when its lease is not over
local answers, FIELDS = {}, fields()
each(ARG.ids, function(i, id)
  answers[i] = 0
  local record, ends = KEY.records[i], redis.call('ZSCORE', KEY.lapsed_in, id)
  local known = read(record, FIELDS)
  if ends and tonumber(ends) <= ARG.now and not is_own(known) then
    leave_stray(KEY.lapsed_in, id, known)
  elseif ends and tonumber(ends) <= ARG.now then
    index(KEY.lapsed_in, id)
    if known.status == Status.sending and move(record, id, known, Status.in_doubt, ARG.look_up_at, Field.code, 'lapsed',
      Field.reason, 'lease_ran_out', Field.owner, Owner.operator, Field.doubted, ARG.now) then
      add_one(record, Field.lapses)
      count_of(Count.lapsed, known.lane)
      answers[i] = 1
    end
  end
end)
return moved(answers)
