-- ARGV: prefix, then for each symbol its name, its amount and those of its legs ('' for legs that do not count).
-- Returns the symbols whose ledger has another text, or is none. A missing ledger or leg stands for 0.
local prefix, differing = ARGV[1], {}
for i = 2, #ARGV, 4 do
  local key = prefix .. ':position:ledger:' .. ARGV[i]
  local kind, stored = redis.call('TYPE', key).ok, {}
  if kind == 'hash' then stored = redis.call('HMGET', key, 'last_known_amt', 'long_amt', 'short_amt') end
  if not stored[1] then stored = {} end
  local differs = kind ~= 'hash' and kind ~= 'none'
  for n = 1, 3 do
    local expected = ARGV[i + n]
    differs = differs or (expected ~= '' and (stored[n] or '0') ~= expected)
  end
  if differs then differing[#differing + 1] = ARGV[i] end
end
return differing
