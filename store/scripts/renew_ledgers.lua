-- Renews the expiry of ledgers; copies an amount that was corrected by hand to the fields that P3.4 reads.
-- ARGV: prefix, fence, ttl ms, symbols...
local prefix, fence, ttl = ARGV[1], ARGV[2], ARGV[3]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
for i = 4, #ARGV do
  local key = prefix .. ':position:ledger:' .. ARGV[i]
  if redis.call('TYPE', key).ok == 'hash' then
    local stored = redis.call('HMGET', key, 'last_known_amt', 'ledger_amt')
    local amount = stored[1]
    if amount then
      -- tonumber() alone would take 'nan', '0x10' and ' 5 '.
      local number = #amount <= 64 and string.find(amount, '^[+-]?%d+%.?%d*[eE]?[+-]?%d*$')
        and tonumber(amount)
      if number and stored[2] ~= amount then
        local side = number > 0 and 'LONG' or number < 0 and 'SHORT' or 'FLAT'
        redis.call('HSET', key, 'ledger_amt', amount, 'ledger_side', side, 'last_known_side', side)
      end
      -- An unreadable one must not vanish by expiry either: it would look like a new symbol.
      redis.call('PEXPIRE', key, ttl)
    end
  end
end
return 1
