-- Gives the lease up if it is still ours. ARGV: prefix, fence.
local key = ARGV[1] .. ':p33:lease'
if redis.call('GET', key) == ARGV[2] then return redis.call('DEL', key) end
return 0
