-- Creates ledgers that are still missing. ARGV: prefix, fence, ttl ms, msgpack of Adoption[].
-- Returns their symbols. A key of a wrong type is left alone.
local prefix, fence, ttl = ARGV[1], ARGV[2], ARGV[3]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local events = prefix .. ':stream:reconcile.events'
local kind_of_events = redis.call('TYPE', events).ok
if kind_of_events ~= 'stream' and kind_of_events ~= 'none' then
  return redis.error_reply('WRONGTYPE ' .. events .. ' is a ' .. kind_of_events .. ', not a stream')
end
local adoptions, adopted = cmsgpack.unpack(ARGV[4]), {}
if adoptions[1] then
  local ledger = prefix .. ':position:ledger:' .. adoptions[1][1]
  local refusal = refused({ { 'DEL', ledger }, { 'HSET', ledger, 'f', '' }, { 'PEXPIRE', ledger, 1 },
    { 'XADD', events, '*', 'f', '' } })
  if refusal then return refusal end
end
for _, a in ipairs(adoptions) do
  local key = prefix .. ':position:ledger:' .. a[1]
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' or (kind == 'hash' and redis.call('HEXISTS', key, 'last_known_amt') == 0) then
    -- Fields of an older ledger (its order time, its legs) do not belong to the adopted one.
    if kind == 'hash' then redis.call('DEL', key) end
    redis.call('HSET', key, unpack(a[2]))
    redis.call('PEXPIRE', key, ttl)
    if #a[3] > 0 then redis.call('XADD', events, 'MAXLEN', '~', 10000, '*', unpack(a[3])) end
    adopted[#adopted + 1] = a[1]
  end
end
return adopted
