-- PARTS suppression, tally
-- Add entries to the list of suppressed numbers.
-- ARG   again (1: new occurrences; 0: repeated reports), source (to count them by; '': their own), added
-- ->    how many entries were added

-- Most numbers of an import are new: their rows are looked up at once and written at once, and equal entries have equal rows.
local added, first_rows, first_numbers, row_of_entry, source_of = {}, {}, {}, {}, {}

local function write_first()
  if #first_rows > 0 then of_table('HSET', KEY.suppressed, unpack(first_rows)) end
  first_rows = {}
end

local function add_first(number, entry)
  row_of_entry[entry] = row_of_entry[entry] or row_with({cjson.decode(entry)})
  first_numbers[number] = true
  first_rows[#first_rows + 1], first_rows[#first_rows + 2] = number, row_of_entry[entry]
end

for i, one in ipairs(ARG.added) do added[i] = spelling.present(one[Added.number]) end
local found = ARG.again == 0 and #added > 0 and of_table('HMGET', KEY.suppressed, unpack(added)) or {}
for i, one in ipairs(ARG.added) do
  local text = one[Added.entry]
  if found[i] == false and not first_numbers[added[i]] then
    add_first(added[i], text)
  else
    write_first()
    suppress(one[Added.number], cjson.decode(text), ARG.again)
  end
  source_of[text] = source_of[text] or (ARG.source ~= '' and ARG.source or cjson.decode(text).source)
  count_of(Count.suppressed, source_of[text])
end
write_first()
return tallied(#ARG.added)
