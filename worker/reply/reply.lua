-- PARTS record, suppression, tally, events
-- Publish a reply, once, and let STOP and START take effect in the same step.
-- KEYS  parts (of this reply), related (the record of the message that it answers), taken (marks of its parts)
-- ARG   key (of a long reply, or ''), remember_ms, word ('', stop or start), entry (JSON of a STOP), source (of one), id,
--       sender, to, text, at, network, message (the id of the one that it answers), incomplete
-- ->    1, or 0 when it was published before
local taken = 0
for i = 1, #KEY.taken do
  if redis.call('SET', KEY.taken[i], '1', 'NX', 'PX', ARG.remember_ms) then taken = taken + 1 end
end
if ARG.key ~= '' then
  redis.call('DEL', KEY.parts)
  redis.call('ZREM', KEY.reply_halves, ARG.key)
end
if taken == 0 then return 0 end
if ARG.word == 'stop' then
  suppress(ARG.sender, cjson.decode(ARG.entry), 1)
  count(Count.suppressed .. ARG.source)
elseif ARG.word == 'start' then -- a delayed START lifts no later STOP
  count(Count.lifted, lift(ARG.sender, ARG.source, '', ARG.at))
end
count(Count.replies .. (ARG.word ~= '' and ARG.word or 'other'))
local producer = ARG.message ~= '' and read_one(KEY.related, Field.producer)
publish(EventField.type, EventType.reply, EventField.id, ARG.id, Field.producer, producer, EventField.message, ARG.message,
  EventField.from, ARG.sender, EventField.to, ARG.to, EventField.text, ARG.text, EventField.at, ARG.at,
  EventField.network, ARG.network, EventField.incomplete, ARG.incomplete, EventField.word, ARG.word)
return tallied(1)
