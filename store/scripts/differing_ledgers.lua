-- ARGV: prefix, msgpack of a flat list: for each symbol its name, its amount and those of its legs ('' for legs that do
-- not count). Returns the symbols whose ledger has another text, or is none, and those of which an order may be in
-- flight: an open permit has not expired or cannot be read, or the executor holds them. A missing ledger or leg stands
-- for 0. At rest it takes one command a symbol, and two for each 50.
local prefix, expected, differing, flying, time = ARGV[1], cmsgpack.unpack(ARGV[2]), {}, {}, redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local AT_A_TIME, refusal = 50, nil

local function has_open_permit(open)
  local kind = redis.call('TYPE', open).ok
  if kind ~= 'hash' then return kind ~= 'none' end
  local stored = redis.call('HGETALL', open)
  for i = 1, #stored, 2 do
    local ends = string.match(stored[i + 1], '|(%d+)$')
    if stored[i] ~= 'v' and not (ends and #ends <= 15 and tonumber(ends) <= now) then return true end
  end
  return false
end

local function is_error(reply)
  if type(reply) ~= 'table' or not reply.err then return false end
  if not string.find(reply.err, 'WRONGTYPE', 1, true) then refusal = reply end
  return true
end

local function differs(symbol, total, long, short)
  local key = prefix .. ':position:ledger:' .. symbol
  if long == '' and short == '' then
    local stored = redis.pcall('HGET', key, 'last_known_amt')
    return is_error(stored) or total ~= '' and (stored or '0') ~= total
  end
  local stored = redis.pcall('HMGET', key, 'last_known_amt', 'long_amt', 'short_amt')
  if is_error(stored) then return true end
  if not stored[1] then stored = {} end
  for n, text in ipairs({ total, long, short }) do
    if text ~= '' and (stored[n] or '0') ~= text then return true end
  end
  return false
end

for first = 1, #expected, 4 * AT_A_TIME do
  local last = math.min(first + 4 * AT_A_TIME - 1, #expected)
  local permits, owners = {}, {}
  for i = first, last, 4 do
    local symbol = expected[i]
    if differs(symbol, expected[i + 1], expected[i + 2], expected[i + 3]) then differing[#differing + 1] = symbol end
    permits[#permits + 1] = prefix .. ':p33:open:' .. symbol
    owners[#owners + 1] = prefix .. ':reconcile:hold_sig:' .. symbol
  end
  local any, sigs = redis.call('EXISTS', unpack(permits)) > 0, redis.call('MGET', unpack(owners))
  for n, open in ipairs(permits) do
    local held = sigs[n] and string.sub(sigs[n], 1, 5) == 'exec:'
    if held or any and has_open_permit(open) then flying[#flying + 1] = expected[first + 4 * (n - 1)] end
  end
  if refusal then return refusal end
end
return { differing, flying }
