-- Spellings: one person may have a number with several spellings; the table is that of contract/subscriber.py.

local spelling = {}
do
  local STARTS, rules = Table.spelling_starts, nil

  -- -> whether a number may have several spellings, by its first digits: most have one.
  function spelling.may_differ(number) return STARTS[string.sub(number, 1, 2)] end

  -- -> the other spellings that the changes of a direction give a number, which may be none.
  local function others(number, direction)
    local found = {}
    if not spelling.may_differ(number) then return found end
    rules = rules or Table.spellings
    for _, change in ipairs(rules[direction][string.sub(number, 1, 2)][#number] or {}) do
      local before, after = string.match(number, change[1])
      if before then found[#found + 1] = before .. change[2] .. after end
    end
    return found
  end

  -- -> the spelling by which a person is known: that of today.
  function spelling.present(number) return others(number, 'present')[1] or number end

  -- -> the former spellings of a person's number.
  function spelling.former(number) return others(spelling.present(number), 'former') end

  -- -> all spellings of a person's number, the present one last.
  function spelling.all(number)
    local person = spelling.present(number)
    local found = others(person, 'former')
    found[#found + 1] = person
    return found
  end
end
