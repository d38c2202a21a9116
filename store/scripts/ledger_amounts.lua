-- ARGV: prefix, then symbols. Answers for each the amount of its ledger as it is stored, or what Redis says.
local amounts = {}
for i = 2, #ARGV do
  amounts[i - 1] = redis.pcall('HGET', ARGV[1] .. ':position:ledger:' .. ARGV[i], 'last_known_amt')
end
return amounts
