-- Books one result, whole or not at all. ARGV: prefix, fence, group, msgpack of ResultCommit.
-- Returns Redis's clock (ms), or nil when the state that the booking was computed from has changed.
local prefix, fence, group = ARGV[1], ARGV[2], ARGV[3]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local c = cmsgpack.unpack(ARGV[4])
local entry_id, plan_id, symbol, compare = c[1], c[2], c[3], c[4]
local results = prefix .. ':stream:apply.result'
local dead = prefix .. ':stream:apply.result.dead'
local events = prefix .. ':stream:reconcile.events'
local ledger = prefix .. ':position:ledger:' .. symbol
local orders = prefix .. ':p33:orders:' .. symbol
local order_times = prefix .. ':p33:order_times:' .. symbol
local open = prefix .. ':p33:open:' .. symbol
local mark_key = prefix .. ':p33:plan:' .. plan_id
local last = prefix .. ':p33:last_result_id'
local unknown = prefix .. ':p33:unknown'

local expected = { { results, 'stream' }, { dead, 'stream' }, { events, 'stream' }, { last, 'string' } }
if compare then
  for _, pair in ipairs({ { ledger, 'hash' }, { orders, 'hash' }, { order_times, 'zset' },
    { open, 'hash' }, { mark_key, 'string' } }) do
    expected[#expected + 1] = pair
  end
end
for _, pair in ipairs(expected) do
  local kind = redis.call('TYPE', pair[1]).ok
  if kind ~= pair[2] and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. pair[1] .. ' is a ' .. kind .. ', not a ' .. pair[2])
  end
end

local needed = {
  { 'SET', last, '' }, { 'SET', mark_key, '' }, { 'DEL', prefix .. ':permit:p33:' .. plan_id },
  { 'XADD', dead, '*', 'f', '' }, { 'XADD', events, '*', 'f', '' }, { 'XACK', results, group, entry_id },
  { 'HSET', unknown, 'f', '' }, { 'HDEL', unknown, 'f' }, { 'PEXPIRE', unknown, 1 },
}
if compare then
  for _, command in ipairs({ { 'HSET', ledger, 'f', '' }, { 'HSET', open, 'f', '' }, { 'HDEL', open, 'f' },
    { 'PEXPIRE', ledger, 1 }, { 'HGETALL', unknown }, { 'HEXISTS', unknown, 'f' }, { 'PTTL', unknown } }) do
    needed[#needed + 1] = command
  end
  add_memory_rights(needed, orders, order_times)
end
-- Orders of a dead letter that nothing is known of yet. They serve the reconcile engine only: no dead letter fails because
-- of the types of these keys.
local named = {}
local kinds = #c[21] > 0 and redis.call('TYPE', orders).ok .. ' ' .. redis.call('TYPE', order_times).ok or ''
if kinds == 'hash zset' or kinds == 'none none' then
  for _, order in ipairs(c[21]) do
    if redis.call('HEXISTS', orders, order[1]) == 0 then named[#named + 1] = order end
  end
  if #named > 0 then add_memory_rights(needed, orders, order_times) end
end
local refusal = refused(needed)
if refusal then return refusal end

-- Serves diagnostics only: no booking fails because of its type.
local unknown_type = compare and redis.call('TYPE', unknown).ok or 'none'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if compare then
  local stored = redis.call('HMGET', ledger, 'last_known_amt', 'long_amt', 'short_amt', 'version')
  for i = 1, 3 do
    if text(stored[i]) ~= c[5][i] then return false end
  end
  if text(stored[4]) ~= c[6] then return false end
  for _, order in ipairs(c[9]) do
    if text(redis.call('HGET', orders, order[1])) ~= order[2] then return false end
  end
  if text(redis.call('HGET', open, 'p:' .. plan_id)) ~= c[10] then return false end
  if text(redis.call('GET', mark_key)) ~= c[13] then return false end
end

-- The first write is one that a full Redis refuses, so that a refusal leaves nothing half written: the last
-- id, or without an entry to acknowledge the ledger or the open permit.
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms or 0), tonumber(seq or 0)
end
local before = redis.call('GET', last) or '0-0'
local before_ms, before_seq = parts(before)
local ms, seq = parts(entry_id)
local newer = ms > before_ms or (ms == before_ms and seq > before_seq)
local acknowledge = c[20]
-- The id never passes a pending result: a recreated group begins behind the id, and the pending result (which
-- may wait for an operator) would not be delivered again. Booking later results twice changes nothing.
local function passes_one_by()
  local pending = redis.pcall('XPENDING', results, group, '-', '+', 2)
  for _, each in ipairs(pending.err and {} or pending) do
    local its_ms, its_seq = parts(each[1])
    if its_ms < ms or (its_ms == ms and its_seq < seq) then return true end
  end
  return false
end
if acknowledge then redis.call('SET', last, newer and not passes_one_by() and entry_id or before) end

if #c[7] > 0 then
  redis.call('HSET', ledger, unpack(c[7]))
  redis.call('PEXPIRE', ledger, c[8])
end
if #c[9] > 0 then remember_orders(orders, order_times, c[9], now) end
if #named > 0 then remember_orders(orders, order_times, named, now) end
local revoked = c[12] and redis.call('DEL', prefix .. ':permit:p33:' .. plan_id) == 1
local ended = false
if c[11] and (revoked or not c[18]) then
  ended = c[11] == ''
  redis.call('HSET', open, 'v', (acknowledge and 'r' or 'e') .. entry_id)
  if c[11] == '' then
    redis.call('HDEL', open, 'p:' .. plan_id)
  else
    redis.call('HSET', open, 'p:' .. plan_id, c[11])
  end
end
if unknown_type ~= 'hash' and unknown_type ~= 'none' then
  -- A wrong type: keep it.
elseif ended or c[19] == '' then
  redis.call('HDEL', unknown, plan_id)
elseif c[19] then
  local function ends(value) return tonumber(string.match(value, '^(%d+)|') or 0) end
  local stored = redis.call('HGETALL', unknown)
  for i = 1, #stored, 2 do
    if ends(stored[i + 1]) <= now then redis.call('HDEL', unknown, stored[i]) end
  end
  if redis.call('HEXISTS', unknown, plan_id) == 0 then redis.call('HSET', unknown, plan_id, c[19]) end
  redis.call('PEXPIRE', unknown, math.max(redis.call('PTTL', unknown), ends(c[19]) - now + 60000))
end
if c[14] ~= '' and c[4] then
  redis.call('SET', mark_key, c[14], 'PX', c[15])
elseif c[14] ~= '' then
  redis.call('SET', mark_key, c[14], 'PX', c[15], 'NX')
end
if #c[16] > 0 then redis.call('XADD', dead, 'MAXLEN', '~', 10000, '*', unpack(c[16])) end
if #c[17] > 0 then redis.call('XADD', events, 'MAXLEN', '~', 10000, '*', unpack(c[17])) end
if acknowledge then redis.call('XACK', results, group, entry_id) end
return now
