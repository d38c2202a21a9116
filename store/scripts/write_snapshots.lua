-- Replaces snapshot hashes whole. ARGV: prefix, fence, msgpack of SnapshotWrite[].
local prefix, fence = ARGV[1], ARGV[2]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local snapshots = cmsgpack.unpack(ARGV[3])
if snapshots[1] then
  local key = prefix .. ':position:snapshot:' .. snapshots[1][1]
  local refusal = refused({ { 'DEL', key }, { 'HSET', key, 'f', '' }, { 'EXPIRE', key, 1 } })
  if refusal then return refusal end
end
for _, s in ipairs(snapshots) do
  local key = prefix .. ':position:snapshot:' .. s[1]
  redis.call('DEL', key)
  redis.call('HSET', key, unpack(s[3]))
  redis.call('EXPIRE', key, s[2])
end
return 1
