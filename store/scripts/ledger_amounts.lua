-- ARGV: prefix, then symbols. Returns for each the amount of its ledger as it is stored, or Redis's error.
local amounts = {}
for i = 2, #ARGV do
  amounts[i - 1] = redis.pcall('HGET', ARGV[1] .. ':position:ledger:' .. ARGV[i], 'last_known_amt')
end
return amounts
