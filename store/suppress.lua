-- Change the list of suppressed numbers.
-- KEYS  11 suppressed
-- ARGV  'add' (it happened) or 'import' (it is told of), then number, entry JSON ...; or 'lift', number, source
--       ('': any), scope ('': any); or 'over', number, its entries as they were read
-- ->    {how many entries were added or lifted, or numbers forgotten}
local done = 0
if ARGV[1] == 'over' then
  if redis.call('HGET', KEYS[11], ARGV[2]) == ARGV[3] then done = redis.call('HDEL', KEYS[11], ARGV[2]) end
elseif ARGV[1] == 'lift' then
  done = lift(KEYS[11], ARGV[2], ARGV[3], ARGV[4])
  count('lifted', done)
else
  local happened = ARGV[1] == 'add'
  for a = 2, #ARGV, 2 do
    local entry = cjson.decode(ARGV[a + 1])
    suppress(KEYS[11], ARGV[a], entry, happened and 1 or 0)
    count('suppressed:' .. (happened and entry.source or 'import'))
    done = done + 1
  end
end
return tallied({done})
