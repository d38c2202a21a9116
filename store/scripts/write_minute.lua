-- Writes a minute of the history in its slot of the day. ARGV: prefix, fence, slot, minute, its text, life of the
-- history (ms). Returns 0 where the slot holds that minute already: what was written first stays.
local prefix, fence, slot, minute, text, life = unpack(ARGV, 1, 6)
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local key = prefix .. ':p33:history'
local kind = redis.call('TYPE', key).ok
if kind ~= 'hash' and kind ~= 'none' then
  return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. kind .. ', not a hash')
end
local stored = redis.call('HGET', key, slot)
local beginning = '{"m":' .. minute .. ','
if stored and string.sub(stored, 1, #beginning) == beginning then return 0 end
local refusal = refused({ { 'HSET', key, 'f', '' }, { 'PEXPIRE', key, 1 } })
if refusal then return refusal end
redis.call('HSET', key, slot, text)
redis.call('PEXPIRE', key, life)
return 1
