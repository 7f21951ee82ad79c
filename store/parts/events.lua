-- PARTS rows
-- Events: entries of the stream that producers read.

-- Add an entry with these fields: name, value ...; fields without a value are omitted. If the key is no
-- stream, the entry is lost, and the script does the rest.
local function publish(...)
  local entry, pairs_given = {}, {...}
  for i = 1, select('#', ...), 2 do
    if pairs_given[i + 1] and pairs_given[i + 1] ~= '' then
      entry[#entry + 1] = pairs_given[i]
      entry[#entry + 1] = pairs_given[i + 1]
    end
  end
  of_table('XADD', KEY.events, '*', unpack(entry))
end
