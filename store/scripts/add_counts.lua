-- Adds to the executor's counts; one that is no number begins at 0. ARGV: prefix, fence, then names and numbers.
local prefix, fence = ARGV[1], ARGV[2]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local key, counts = prefix .. ':metrics:intent_executor', {}
for i = 3, #ARGV, 2 do
  local stored = redis.call('HGET', key, ARGV[i]) or ''
  local count = string.find(stored, '^%d+$') and #stored <= 15 and tonumber(stored) or 0
  counts[#counts + 1] = ARGV[i]
  counts[#counts + 1] = string.format('%.0f', count + ARGV[i + 1])
end
if #counts > 0 then redis.call('HSET', key, unpack(counts)) end
return 1
