-- Prepended to each script that calls it (`store/redis/scripts.py`).
-- Acknowledges an entry with the last id of its group: a lost group is created again behind that id, which
-- never passes a pending entry.
local function id_parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms or 0), tonumber(seq or 0)
end

local function is_before(ms, seq, other_ms, other_seq)
  return ms < other_ms or (ms == other_ms and seq < other_seq)
end

-- Notes as the last id the highest of acknowledged ids, in any order, that no pending entry is before.
local function note_acknowledged(stream, group, last, entry_ids)
  if #entry_ids == 0 then return end
  local known = redis.call('TYPE', last).ok == 'string' and redis.call('GET', last) or '0-0'
  local pending = redis.pcall('XPENDING', stream, group, '-', '+', 1)
  local known_ms, known_seq = id_parts(known)
  local oldest_ms, oldest_seq = math.huge, 0
  if not pending.err and pending[1] then oldest_ms, oldest_seq = id_parts(pending[1][1]) end
  for _, entry_id in ipairs(entry_ids) do
    local ms, seq = id_parts(entry_id)
    if is_before(known_ms, known_seq, ms, seq) and not is_before(oldest_ms, oldest_seq, ms, seq) then
      known, known_ms, known_seq = entry_id, ms, seq
    end
  end
  redis.call('SET', last, known)
end

local function acknowledge(stream, group, last, entry_id)
  redis.call('XACK', stream, group, entry_id)
  note_acknowledged(stream, group, last, { entry_id })
end
