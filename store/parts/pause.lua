-- PARTS record, rows, index, waiting
-- Pause: what would be sent of a paused batch waits in an index of its own; see store/pauses.py.

local pause = {}
do
  local HELD_BACK = {[Status.scheduled] = true, [Status.queued] = true}
  local OF_BATCH = {Field.producer, Field.batch, Field.expires}
  local is_any, is_damaged, known_batches = nil, nil, {}

  -- -> whether any batch is paused; asked once in a script, which costs one command while none is.
  function pause.is_any()
    if is_any == nil then
      local number
      number, is_damaged = of_table('HLEN', KEY.pauses)
      is_any = is_damaged or number > 0
    end
    return is_any
  end

  -- -> the digest of a batch if it is paused, or nil. One whose row is unreadable is: nothing of it is sent by mistake.
  function pause.of(producer, batch)
    if not batch or batch == '' or not pause.is_any() then return nil end
    local name = (producer or '') .. '\n' .. batch
    local digest = known_batches[name]
    if digest == nil then
      digest = redis.sha1hex(name)
      if not is_damaged and not redis.call('HGET', KEY.pauses, digest) then digest = false end
      known_batches[name] = digest
    end
    return digest or nil
  end

  -- Note the place of a message in its batch: since when it waits, or when it is due.
  function pause.note(record, id, known, digest, at)
    pause.forget(record, id, known)
    known.paused = string.format('%s:%s:%013d', digest, known.lane, at)
    index(KEY.paused_order, known.paused .. ':' .. id, 0)
    write(record, Field.paused, known.paused)
  end

  -- A message is no longer paused.
  function pause.forget(record, id, known)
    if not known.paused then return end
    index(KEY.paused_order, known.paused .. ':' .. id)
    drop(record, Field.paused)
    known.paused = nil
  end

  -- -> the state and the score that a message gets instead of those in which it would be sent, if its batch is paused.
  function pause.instead(record, id, known, to, score)
    if not HELD_BACK[to] or not pause.is_any() then return to, score end
    local of = read(record, OF_BATCH)
    local digest = pause.of(of.producer, of.batch)
    if not digest then return to, score end
    pause.note(record, id, known, digest, to == Status.scheduled and score or since_of(record))
    return Status.paused, of.expires
  end
end
