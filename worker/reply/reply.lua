-- PARTS record, suppression, tally, events
-- Publish a reply, once, and let STOP and START take effect in the same step.
-- KEYS  parts (of this reply), related (the record of the message that it answers), taken (marks of its parts), confirmed
--       (the mark of a person whose STOP was confirmed)
-- ARG   key (of a long reply, or ''), remember_ms, word ('', stop, start or help), counted (the label to count it by),
--       looks_like_stop, entry (JSON of a STOP), source (of one), lifted (the sources that a START lifts), id, sender, to,
--       ours (its spellings as a sender of messages, the present one first; none if it cannot send), text, at (when it takes
--       effect, not ahead of now), received_at (the gateway's time), network, message (the id of the one that it answers),
--       incomplete, media, media_types and media_octets (of the files with it, or ''), owner and owned_by (the producer that owns the keyword or the number, and which), texted (who last
--       texted the person from it; false: nobody), default (who gets what belongs to nobody else, or ''), confirmation
--       (JSON of a confirmation of the STOP, or ''), confirmation_id (of its message), confirm_until, confirm_again_ms, now
-- ->    1, or 0 when it was published before

-- The marks are set last: Redis keeps what a script did before it failed, and the gateway then repeats the reply.
local function take()
  for i = 1, #KEY.taken do redis.call('SET', KEY.taken[i], '1', 'PX', ARG.remember_ms) end
  if ARG.key ~= '' then
    redis.call('DEL', KEY.parts)
    redis.call('ZREM', KEY.reply_halves, ARG.key)
  end
end

local known = 0
for i = 1, #KEY.taken do known = known + redis.call('EXISTS', KEY.taken[i]) end
if known == #KEY.taken then
  take()
  return 0
end

-- -> the scope of a STOP: what an operator chose for our number, or for all numbers.
local function reached()
  local rows = {unpack(ARG.ours)}
  rows[#rows + 1] = '*'
  local reach = ''
  for _, chosen in ipairs(of_table('HMGET', KEY.reach, unpack(rows)) or {}) do
    if chosen then
      reach = chosen
      break
    end
  end
  if reach == 'sender' and ARG.ours[1] then return 'number:' .. ARG.ours[1] end
  return (string.find(reach, '^lanes:[123][123,]*$') or string.find(reach, '^tag:%w')) and reach or 'all'
end

if ARG.word == 'stop' then
  local entry = cjson.decode(ARG.entry)
  entry.scope = reached()
  local confirms = ARG.confirmation ~= '' and not has_entry(ARG.sender, ARG.source, entry.scope, ARG.at)
    and redis.call('SET', KEY.confirmed, '1', 'NX', 'PX', ARG.confirm_again_ms)
  if confirms then
    redis.call('ZADD', KEY.confirmations, ARG.confirm_until, ARG.confirmation)
    entry.evidence = entry.evidence .. ', confirmation: message ' .. ARG.confirmation_id
  end
  suppress(ARG.sender, entry, 1)
  count(Count.suppressed .. ARG.source)
elseif ARG.word == 'start' then -- a START lifts no STOP of its time or later: Central reports whole seconds
  for _, source in ipairs(ARG.lifted) do count(Count.lifted, lift(ARG.sender, source, '', ARG.at)) end
end
count(Count.replies .. ARG.counted)

local MOST_IN_INBOX = 10000
-- -> the producer of the message that it answers; '': one without a name; nil if there is no such message, or if it is
-- the confirmation of a STOP, which has no reader, or a message of another account, which nobody answers by this one.
local function producer_of_related()
  local is_read, known = pcall(function() return read(KEY.related, {Field.status, Field.producer, Field.account}) end)
  if not is_read or known.producer == CONFIRMATION or (known.account or '') ~= ARG.account then return nil end
  return ARG.message ~= '' and known.status and (known.producer or '') or nil
end

local answered_by = producer_of_related()

-- -> the producer, and how it was found. Its owner comes before the message: nobody gets the replies to a number of
-- another producer by sending from it.
local function audience()
  if ARG.owner ~= '' then return ARG.owner, ARG.owned_by end
  if answered_by then return answered_by, Route.message end
  if ARG.texted then return ARG.texted, Route.texted end
  if ARG.default ~= '' then return ARG.default, Route.default end
  return '', Route.inbox
end

local producer, route = audience()
count(Count.routed .. route)
local entry = entry_of(EventField.type, EventType.reply, EventField.id, ARG.id, Field.producer, producer,
  EventField.message, answered_by == producer and route ~= Route.inbox and ARG.message,
  EventField.from, ARG.sender, EventField.to, ARG.to, EventField.text, ARG.text, EventField.at, ARG.received_at,
  EventField.network, ARG.network, EventField.incomplete, ARG.incomplete, EventField.word, ARG.word,
  EventField.looks_like_stop, ARG.looks_like_stop, EventField.media, ARG.media, EventField.media_types, ARG.media_types,
  EventField.media_octets, ARG.media_octets, EventField.route, route)
if route == Route.inbox then
  local size = redis.pcall('XLEN', KEY.inbox)  -- a Redis user of an earlier version may not run it: nothing is counted
  redis.call('XADD', KEY.inbox, 'MAXLEN', MOST_IN_INBOX, '*', unpack(entry))
  if type(size) == 'number' and size >= MOST_IN_INBOX then
    count(Count.removed_unread .. Removal.newer, size + 1 - MOST_IN_INBOX)
    redis.call('HSET', KEY.tally, 'removed_unread_at', ARG.now)
  end
else
  redis.call('XADD', KEY.events, '*', unpack(entry))
end
take()
return tallied(1)
