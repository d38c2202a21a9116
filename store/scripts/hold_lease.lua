-- Renews the lease, or takes it where it is free or the same instance's. ARGV: prefix, instance, fence or
-- '', ttl ms. The lease is `<token>:<instance>`; the token grows with every taking and never with a renewal.
-- Answers {1, lease} when it is ours now, else {0, lease}.
local prefix, instance, fence, ttl = unpack(ARGV)
local key = prefix .. ':p33:lease'
local lease = redis.call('GET', key)
if lease and lease == fence then
  redis.call('PEXPIRE', key, ttl)
  return { 1, lease }
end
if lease and (fence ~= '' or string.match(lease, '^%d+:(.*)$') ~= instance) then return { 0, lease } end
lease = string.format('%.0f', redis.call('INCR', prefix .. ':p33:fence')) .. ':' .. instance
redis.call('SET', key, lease, 'PX', ttl)
return { 1, lease }
