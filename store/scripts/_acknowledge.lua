-- Prepended to each script that calls it (`store/redis/scripts.py`).
-- Acknowledges an entry with the last id of its group: a lost group is created again behind that id, which
-- never passes a pending entry.
local function id_parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms or 0), tonumber(seq or 0)
end

local function is_before(id, other)
  local ms, seq = id_parts(id)
  local other_ms, other_seq = id_parts(other)
  return ms < other_ms or (ms == other_ms and seq < other_seq)
end

local function acknowledge(stream, group, last, entry_id)
  local known = redis.call('GET', last) or '0-0'
  local moves_on = is_before(known, entry_id)
  local pending = redis.pcall('XPENDING', stream, group, '-', '+', 2)
  for _, each in ipairs(pending.err and {} or pending) do
    if is_before(each[1], entry_id) then moves_on = false end
  end
  redis.call('SET', last, moves_on and entry_id or known)
  redis.call('XACK', stream, group, entry_id)
end
