-- ARGV: prefix, then for each symbol its name, its amount and those of its legs ('' for legs that do not count).
-- Returns the symbols whose ledger has another text, or is none, and those of which an order may be in flight: an open
-- permit has not expired or cannot be read, or the executor holds them. A missing ledger or leg stands for 0.
local prefix, differing, flying, time = ARGV[1], {}, {}, redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function in_flight(symbol)
  local sig = string_at(prefix .. ':reconcile:hold_sig:' .. symbol)
  if sig and string.sub(sig, 1, 5) == 'exec:' then return true end
  local open = prefix .. ':p33:open:' .. symbol
  local kind = redis.call('TYPE', open).ok
  if kind ~= 'hash' then return kind ~= 'none' end
  local stored = redis.call('HGETALL', open)
  for i = 1, #stored, 2 do
    local ends = string.match(stored[i + 1], '|(%d+)$')
    if stored[i] ~= 'v' and not (ends and #ends <= 15 and tonumber(ends) <= now) then return true end
  end
  return false
end

for i = 2, #ARGV, 4 do
  local symbol = ARGV[i]
  local key = prefix .. ':position:ledger:' .. symbol
  local kind, stored = redis.call('TYPE', key).ok, {}
  if kind == 'hash' then stored = redis.call('HMGET', key, 'last_known_amt', 'long_amt', 'short_amt') end
  if not stored[1] then stored = {} end
  local differs = kind ~= 'hash' and kind ~= 'none'
  for n = 1, 3 do
    local expected = ARGV[i + n]
    differs = differs or (expected ~= '' and (stored[n] or '0') ~= expected)
  end
  if differs then differing[#differing + 1] = symbol end
  if in_flight(symbol) then flying[#flying + 1] = symbol end
end
return { differing, flying }
