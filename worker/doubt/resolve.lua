-- Write down what look-ups that found nothing came to. What they found goes through receipt.lua.
-- An answer counts for the look-up it was asked in, once: one that comes late says nothing of the doubt of today.
-- KEYS  11.. records
-- ARGV  now, then for each: id, 'ask' | 'queued' | 'dead' | 'unknown', score, 1 when this probe counts, ms to keep,
--       code, reason, owner ('' each: as they are), look-ups made before, since when in doubt
-- ->    for each its lane when it was moved or put off, or '' when something else had settled it
local SAID, answers, FIELDS = 10, {}, fields('probes', 'doubted')
for i = 1, #KEYS - 10 do
  local record, a = KEYS[10 + i], 2 + (i - 1) * SAID
  local id, to, score = ARGV[a], ARGV[a + 1], ARGV[a + 2]
  local known = read(record, FIELDS)
  answers[i] = ''
  if known.status == 'in_doubt' and (known.probes or '0') == ARGV[a + 8] and known.doubted == ARGV[a + 9] then
    answers[i] = known.lane
    if ARGV[a + 3] == '1' then redis.call('HINCRBY', record, 'probes', 1) end
    if ARGV[a + 5] ~= '' then redis.call('HSET', record, 'code', ARGV[a + 5], 'reason', ARGV[a + 6], 'owner', ARGV[a + 7]) end
    if to == 'ask' then
      redis.call('ZADD', KEYS[6], score, id)
    else
      move(record, id, known, to, score)
      redis.call('HDEL', record, 'probes', 'doubted')
      count('resolved:' .. to)
      if to ~= 'queued' then
        redis.call('HSET', record, 'ended', ARGV[1])
        redis.call('PEXPIRE', record, ARGV[a + 4])
        count(to .. ':' .. ARGV[a + 5] .. ':' .. ARGV[a + 7])
      end
    end
  end
end
return tallied(answers)
