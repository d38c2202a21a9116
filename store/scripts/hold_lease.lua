-- Renews the lease, or takes it where it is free or the same instance's. ARGV: prefix, instance, fence or
-- '', ttl ms. The lease is `<token>:<instance>`; the token grows with every taking and never with a renewal.
-- It is never below Redis's clock (ms), so that a Redis which lost its last token gives none out twice.
-- Answers {1, lease} when it is ours now, else {0, lease}.
local prefix, instance, fence, ttl = unpack(ARGV)
local key, last_token = prefix .. ':p33:lease', prefix .. ':p33:fence'
local lease = redis.call('GET', key)
if lease and fence ~= '' and lease == fence then
  redis.call('PEXPIRE', key, ttl)
  return { 1, lease }
end
if lease and (fence ~= '' or string.match(lease, '^%d+:(.*)$') ~= instance) then return { 0, lease } end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local token = string.format('%.0f', math.max(redis.call('INCR', last_token), now))
redis.call('SET', last_token, token)
redis.call('SET', key, token .. ':' .. instance, 'PX', ttl)
return { 1, token .. ':' .. instance }
