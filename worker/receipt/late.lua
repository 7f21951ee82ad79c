-- PARTS record, tally, events
-- Publish, once each, sent messages without a receipt in time.
-- KEYS  records   ARG  ids
-- ->    for each id 1 when it was late, or 0
local answers, FIELDS = {}, {Field.status, Field.producer, Field.client, Field.lane, Field.to, Field.sent}
for i, id in ipairs(ARG.ids) do
  answers[i] = 0
  if redis.call('ZREM', KEY.late, id) == 1 then
    local known = read(KEY.records[i], FIELDS)
    if known.status == Status.sent then
      publish(EventField.type, EventType.late, EventField.id, id, Field.producer, known.producer, Field.client, known.client,
        Field.lane, known.lane, Field.to, known.to, Field.sent, known.sent)
      count_of(Count.late, known.lane)
      answers[i] = 1
    end
  end
end
return tallied(answers)
