-- Note that the messages of a paused batch are put aside, unless its pause has ended or changed.
-- KEYS  none   ARG  digest, was, row
-- ->    1, or 0 when it had
if redis.call('HGET', KEY.pauses, ARG.digest) ~= ARG.was then return 0 end
redis.call('HSET', KEY.pauses, ARG.digest, ARG.row)
return 1
