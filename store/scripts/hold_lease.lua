-- Renews the lease, or takes it when it is free or this process's own. A process without a fence, which never
-- held it, takes it from any process of the same instance, too.
-- ARGV: prefix, instance, process, fence or '', ttl ms.
-- The lease is `<token>@<process>:<instance>`, or `<token>:<instance>` where the process has no name. A new
-- lease has a higher token, a renewal the same. It is never below Redis's clock (ms), so that a Redis which
-- lost its last token does not give one twice.
-- Returns {1, lease, the lease that it replaced or '', 1 if it is new and no other was given since `fence`}
-- when it is ours now, else {0, lease, '', 0}.
local prefix, instance, process, fence, ttl = unpack(ARGV)
local key, last_token = prefix .. ':p33:lease', prefix .. ':p33:fence'
local lease = redis.call('GET', key)
if lease and fence ~= '' and lease == fence then
  redis.call('PEXPIRE', key, ttl)
  return { 1, lease, '', 0 }
end
if lease then
  local owner, holder = string.match(lease, '^%d+@([^:]*):(.*)$')
  if not holder then owner, holder = '', string.match(lease, '^%d+:(.*)$') end
  local own = process ~= '' and owner == process
  if holder ~= instance or not (own or fence == '') then return { 0, lease, '', 0 } end
end
local unbroken = fence ~= '' and redis.call('GET', last_token) == string.match(fence, '^%d+')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local token = string.format('%.0f', math.max(redis.call('INCR', last_token), now))
redis.call('SET', last_token, token)
local taken = token .. (process == '' and '' or '@' .. process) .. ':' .. instance
redis.call('SET', key, taken, 'PX', ttl)
return { 1, taken, lease or '', unbroken and 1 or 0 }
