-- Writes the account's equity. ARGV: prefix, fence, key, then names and values.
local prefix, fence, key = unpack(ARGV, 1, 3)
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local kind = redis.call('TYPE', key).ok
if kind ~= 'hash' and kind ~= 'none' then
  return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. kind .. ', not a hash')
end
redis.call('HSET', key, unpack(ARGV, 4))
return 1
