-- Replaces windows over results as a whole; what is empty is deleted. ARGV: prefix, fence, beginning of the keys,
-- stream, group, msgpack of lives {window, unknown decisions} (ms), msgpack of WindowWrite[], msgpack of the unknown
-- decisions (pairs of name and count), msgpack of flat fields of the status. Returns the number of pending results.
local prefix, fence, base, stream, group = unpack(ARGV, 1, 5)
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local window_ttl, unknown_ttl = unpack(cmsgpack.unpack(ARGV[6]))
local status = base .. ':status'
local wholes = { { base .. ':unknown_decision:top:5m', 'zset', cmsgpack.unpack(ARGV[8]), unknown_ttl } }
for _, window in ipairs(cmsgpack.unpack(ARGV[7])) do
  local name, decisions, reasons, gates = unpack(window, 1, 4)
  wholes[#wholes + 1] = { base .. ':decision:counts:' .. name, 'hash', decisions, window_ttl }
  wholes[#wholes + 1] = { base .. ':reason:top:' .. name, 'zset', reasons, window_ttl }
  wholes[#wholes + 1] = { base .. ':gate:' .. name, 'hash', gates, window_ttl }
end
local kinds, needed = { { status, 'hash' } }, { { 'HSET', status, 'f', '' }, { 'XPENDING', stream, group } }
for _, whole in ipairs(wholes) do
  local key, kind = whole[1], whole[2]
  kinds[#kinds + 1] = { key, kind }
  needed[#needed + 1] = { 'DEL', key }
  needed[#needed + 1] = { 'PEXPIRE', key, 1 }
  needed[#needed + 1] = kind == 'hash' and { 'HSET', key, 'f', '' } or { 'ZADD', key, 1, 'm' }
end
for _, pair in ipairs(kinds) do
  local kind = redis.call('TYPE', pair[1]).ok
  if kind ~= pair[2] and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. pair[1] .. ' is a ' .. kind .. ', not a ' .. pair[2])
  end
end
local refusal = refused(needed)
if refusal then return refusal end

local summary = redis.pcall('XPENDING', stream, group)
local pending = not summary.err and summary[1] or 0
-- A server that is full refuses this write, and leaves the windows as they are.
redis.call('HSET', status, 'pending_estimate', pending, unpack(cmsgpack.unpack(ARGV[9])))
for _, whole in ipairs(wholes) do
  local key, kind, pairs_of, ttl = unpack(whole)
  redis.call('DEL', key)
  -- A few hundred at most: `brain/intelligence/windows.py`.
  local flat, first = {}, kind == 'hash' and 1 or 2
  for i, pair in ipairs(pairs_of) do flat[2 * i - 1], flat[2 * i] = pair[first], pair[3 - first] end
  if #flat > 0 then
    redis.call(kind == 'hash' and 'HSET' or 'ZADD', key, unpack(flat))
    redis.call('PEXPIRE', key, ttl)
  end
end
return pending
