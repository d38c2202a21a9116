-- Prepended to each script that calls it (`store/redis/scripts.py`).
-- Reads texts that others may have written: false for a missing one, '!' for one of a wrong type.

-- Reads a key: nil for a wrong type, any other error (no right to it) ends the script.
local function read(...)
  local reply = redis.pcall(...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if not string.find(reply.err, 'WRONGTYPE', 1, true) then return redis.call(...) end
  return nil
end

local function text_of(key)
  local reply = read('GET', key)
  if reply == nil then return '!' end
  return reply
end

-- Returns whether a key is missing or of a type.
local function is_free_for(wanted, key)
  local kind = redis.call('TYPE', key).ok
  return kind == wanted or kind == 'none'
end

-- Joins texts from one place to another, so that equal texts alone are equal.
local function joined(texts, from, to)
  local parts = {}
  for i = from, to do
    local text = texts[i]
    parts[#parts + 1] = text and (#text .. ':' .. text) or '-'
  end
  return table.concat(parts)
end
