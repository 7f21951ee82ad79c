-- PARTS rows
-- Events: entries of the stream that producers read.

-- -> the fields of an entry: name, value ..., without those that have no value.
local function entry_of(...)
  local entry, pairs_given = {}, {...}
  for i = 1, select('#', ...), 2 do
    if pairs_given[i + 1] and pairs_given[i + 1] ~= '' then
      entry[#entry + 1] = pairs_given[i]
      entry[#entry + 1] = pairs_given[i + 1]
    end
  end
  return entry
end

-- Add an entry with these fields. If the key is no stream, the entry is lost, and the script does the rest.
local function publish(...) of_table('XADD', KEY.events, '*', unpack(entry_of(...))) end
