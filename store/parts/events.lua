-- Events: what producers get to know, as entries of the stream.

-- Add an entry of these fields: name, value ...; those without a value are left out.
local function publish(...)
  local entry, given = {}, {...}
  for i = 1, select('#', ...), 2 do
    if given[i + 1] and given[i + 1] ~= '' then
      entry[#entry + 1] = given[i]
      entry[#entry + 1] = given[i + 1]
    end
  end
  redis.call('XADD', KEY.events, '*', unpack(entry))
end
