-- Returns the open permits of symbols that have any: { symbol, flat hash } each. ARGV: prefix, symbols.
local found = {}
for i = 2, #ARGV do
  local key = ARGV[1] .. ':p33:open:' .. ARGV[i]
  if redis.call('TYPE', key).ok == 'hash' then
    found[#found + 1] = { ARGV[i], redis.call('HGETALL', key) }
  end
end
return found
