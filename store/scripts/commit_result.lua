-- Books one result, whole or not at all. ARGV: prefix, fence, group, msgpack of ResultCommit.
-- Answers Redis's clock (ms), or nil when what the booking rests on is no longer what was read.
local prefix, fence, group = ARGV[1], ARGV[2], ARGV[3]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local c = cmsgpack.unpack(ARGV[4])
local entry_id, plan_id, symbol = c[1], c[2], c[3]
local dead = prefix .. ':stream:apply.result.dead'
local events = prefix .. ':stream:reconcile.events'
local ledger = prefix .. ':position:ledger:' .. symbol
local orders = prefix .. ':p33:orders:' .. symbol
local order_times = prefix .. ':p33:order_times:' .. symbol
local open = prefix .. ':p33:open:' .. symbol
local mark_key = prefix .. ':p33:plan:' .. plan_id
local last = prefix .. ':p33:last_result_id'

local function expect(key, kind)
  local found = redis.call('TYPE', key).ok
  if found ~= kind and found ~= 'none' then
    error(redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. found .. ', not a ' .. kind))
  end
end
expect(dead, 'stream')
expect(events, 'stream')
expect(last, 'string')

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if c[4] then
  expect(ledger, 'hash')
  expect(orders, 'hash')
  expect(order_times, 'zset')
  expect(open, 'hash')
  expect(mark_key, 'string')
  local stored = redis.call('HMGET', ledger, 'last_known_amt', 'long_amt', 'short_amt', 'version')
  if (stored[1] or nil) ~= c[5][1] or (stored[2] or nil) ~= c[5][2] or (stored[3] or nil) ~= c[5][3]
    or (stored[4] or nil) ~= c[6] then return false end
  for _, order in ipairs(c[9]) do
    if (redis.call('HGET', orders, order[1]) or nil) ~= order[2] then return false end
  end
  if (redis.call('HGET', open, 'p:' .. plan_id) or nil) ~= c[10] then return false end
  if (redis.call('GET', mark_key) or nil) ~= c[13] then return false end
end

-- The first write is one that a full Redis refuses, so that a refusal leaves nothing half done.
local function parts(id) return tonumber(string.match(id, '^%d+') or 0), tonumber(string.match(id, '%d+$') or 0) end
local before = redis.call('GET', last) or '0-0'
local before_ms, before_seq = parts(before)
local ms, seq = parts(entry_id)
local newest = (ms > before_ms or (ms == before_ms and seq > before_seq)) and entry_id or before
redis.call('SET', last, newest)

if #c[7] > 0 then
  redis.call('HSET', ledger, unpack(c[7]))
  redis.call('PEXPIRE', ledger, c[8])
end
if #c[9] > 0 then
  for _, order in ipairs(c[9]) do
    redis.call('HSET', orders, order[1], order[3])
    redis.call('ZADD', order_times, now, order[1])
  end
  local week = 604800000
  local old = redis.call('ZRANGEBYSCORE', order_times, '-inf', now - week, 'LIMIT', 0, 100)
  local surplus = redis.call('ZCARD', order_times) - 10000
  if #old == 0 and surplus > 0 then old = redis.call('ZRANGE', order_times, 0, math.min(surplus, 100) - 1) end
  if #old > 0 then
    redis.call('HDEL', orders, unpack(old))
    redis.call('ZREM', order_times, unpack(old))
  end
  redis.call('PEXPIRE', orders, week)
  redis.call('PEXPIRE', order_times, week)
end
if c[11] == '' then
  redis.call('HDEL', open, 'p:' .. plan_id)
elseif c[11] then
  redis.call('HSET', open, 'p:' .. plan_id, c[11])
end
if c[11] then redis.call('HSET', open, 'v', 'r' .. entry_id) end
if c[12] then redis.call('DEL', prefix .. ':permit:p33:' .. plan_id) end
if c[14] ~= '' then redis.call('SET', mark_key, c[14], 'PX', c[15]) end
if #c[16] > 0 then redis.call('XADD', dead, 'MAXLEN', '~', 10000, '*', unpack(c[16])) end
if #c[17] > 0 then redis.call('XADD', events, 'MAXLEN', '~', 10000, '*', unpack(c[17])) end
redis.call('XACK', prefix .. ':stream:apply.result', group, entry_id)
return now
