-- Notes agreements of exchange and ledger. ARGV: prefix, fence, beginning of the engine's own keys, then for each symbol
-- its name, the time (exchange's clock, ms), the ledger's version, its amounts, and those at that time. A key of a wrong type is left alone.
local prefix, fence, base = ARGV[1], ARGV[2], ARGV[3]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
if ARGV[4] then
  local state = base .. ':state:' .. ARGV[4]
  local refusal = refused({ { 'HSET', state, 'f', '' }, { 'PEXPIRE', state, 1 } })
  if refusal then return refusal end
end
for i = 4, #ARGV, 5 do
  local state = base .. ':state:' .. ARGV[i]
  local kind = redis.call('TYPE', state).ok
  if kind == 'hash' or kind == 'none' then
    redis.call('HSET', state, 'agreed_ms', ARGV[i + 1], 'agreed_version', ARGV[i + 2], 'agreed_amts', ARGV[i + 3],
      'agreed_began', ARGV[i + 4])
    redis.call('PEXPIRE', state, 86400000)
  end
end
return 1
