-- PARTS move
-- Put dead letters back on their lanes, each once, even if requested concurrently. They count in today's budgets.
-- KEYS  records   ARG  now, today (YYYYMMDD), ids
-- ->    for each id its lane, 'expired' when its validity is over, 'over' when its budget has no room left,
--       'erased' when its number and text are gone,
--       'damaged' when they cannot be read, 'account:<name>' when it is of another account, or '' when it is not a dead letter (any more)
local answers, FIELDS = {}, fields(Field.expires, Field.counted, Field.centre, Field.producer, Field.erased,
  Field.damaged, Field.to, Field.body)
each(ARG.ids, function(i, id)
  answers[i] = ''
  local record = KEY.records[i]
  local known = read_or_set_aside(record, id, FIELDS)
  local counted_before = tonumber(known.counted) or 0
  local more = (tonumber(known.estimate) or 0) - counted_before
  if not is_own(known) then
    answers[i] = elsewhere(known)
  elseif known.status ~= Status.dead then
    answers[i] = ''
  elseif known.erased then
    answers[i] = LeftDead.erased
  elseif known.damaged and not (known.to and known.body) then
    answers[i] = LeftDead.damaged
  elseif tonumber(known.expires) <= ARG.now then
    answers[i] = LeftDead.expired
  elseif known.period and more > 0 and over(known.centre or '', known.producer or '', more, ARG.today) then
    answers[i] = LeftDead.over
  else
    if known.period and counted_before == 0 then write(record, Field.period, ARG.today) end
    move(record, id, known, Status.queued, ARG.now, Field.attempt, 0, Field.redriven, ARG.now)
    keep(record)
    drop(record, Field.ended, Field.first, Field.lapses, Field.late, Field.faults)  -- resent stays: the operator's copy permits no further resend
    if known.lane == '1' then index(KEY.expected, id, ARG.now) end
    count_of(Count.redriven, known.lane)
    answers[i] = known.lane
  end
end)
return moved(answers)
