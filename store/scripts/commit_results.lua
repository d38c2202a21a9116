-- Books results in their order, each whole or not at all. ARGV: prefix, fence, group, msgpack of ResultCommit[]
-- (store/records.py). Returns for each Redis's clock (ms), nil where the state that it was computed from has changed (also
-- by one before it), or the error of a key of a wrong type.
-- Once a batch: the rights, which are given by patterns of keys, so that those to the keys of one result stand for all; the
-- order memories' upkeep; the acknowledgement. Once a symbol: the types of its keys, and its ledger's amounts.
local prefix, fence, group = ARGV[1], ARGV[2], ARGV[3]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local results = prefix .. ':stream:apply.result'
local dead = prefix .. ':stream:apply.result.dead'
local events = prefix .. ':stream:reconcile.events'
local last = prefix .. ':p33:last_result_id'
local unknown = prefix .. ':p33:unknown'

-- Returns the error of the first of { key, type } that has another type; nil where all are right or missing.
local function wrong_type(expected)
  for _, pair in ipairs(expected) do
    local kind = redis.call('TYPE', pair[1]).ok
    if kind ~= pair[2] and kind ~= 'none' then
      return redis.error_reply('WRONGTYPE ' .. pair[1] .. ' is a ' .. kind .. ', not a ' .. pair[2])
    end
  end
  return nil
end

local wrong = wrong_type({ { results, 'stream' }, { dead, 'stream' }, { events, 'stream' }, { last, 'string' } })
if wrong then return wrong end

local symbols, in_order = {}, {}

-- Returns the keys of a symbol, with what is known of them.
local function symbol_of(name)
  local known = symbols[name]
  if not known then
    known = {
      ledger = prefix .. ':position:ledger:' .. name, orders = prefix .. ':p33:orders:' .. name,
      order_times = prefix .. ':p33:order_times:' .. name, open = prefix .. ':p33:open:' .. name,
    }
    symbols[name], in_order[#in_order + 1] = known, known
  end
  return known
end

-- Returns orders of a dead letter that nothing is known of yet. They serve the reconcile engine only: no dead letter fails
-- because of the types of these keys.
local function not_known(orders, keys)
  if #orders == 0 then return orders end
  local kinds = redis.call('TYPE', keys.orders).ok .. ' ' .. redis.call('TYPE', keys.order_times).ok
  local named = {}
  if kinds ~= 'hash zset' and kinds ~= 'none none' then return named end
  for _, order in ipairs(orders) do
    if redis.call('HEXISTS', keys.orders, order[1]) == 0 then named[#named + 1] = order end
  end
  return named
end

local commits = cmsgpack.unpack(ARGV[4])
local plan_id, keys = commits[1][2], symbol_of(commits[1][3])
local needed = {
  { 'SET', last, '' }, { 'SET', prefix .. ':p33:plan:' .. plan_id, '' }, { 'DEL', prefix .. ':permit:p33:' .. plan_id },
  { 'XADD', dead, '*', 'f', '' }, { 'XADD', events, '*', 'f', '' }, { 'XACK', results, group, commits[1][1] },
  { 'HSET', unknown, 'f', '' }, { 'HDEL', unknown, 'f' }, { 'PEXPIRE', unknown, 1 },
}
local compares, remembers = false, false
for _, c in ipairs(commits) do
  compares = compares or c[4]
  remembers = remembers or c[4] or #not_known(c[21], symbol_of(c[3])) > 0
end
if compares then
  for _, command in ipairs({ { 'HSET', keys.ledger, 'f', '' }, { 'HSET', keys.open, 'f', '' }, { 'HDEL', keys.open, 'f' },
    { 'PEXPIRE', keys.ledger, 1 }, { 'HGETALL', unknown }, { 'HEXISTS', unknown, 'f' }, { 'PTTL', unknown } }) do
    needed[#needed + 1] = command
  end
end
if remembers then add_memory_rights(needed, keys.orders, keys.order_times) end
local refusal = refused(needed)
if refusal then return refusal end

-- Serves diagnostics only: no booking fails because of its type.
local unknown_type = redis.call('TYPE', unknown).ok
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local kinds = { HMGET = 'hash', HGET = 'hash', ZCARD = 'zset', GET = 'string' }

-- Reads a key; nil and an error where it has a wrong type. Any other error (no right to it) ends the script.
local function read(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if not string.find(reply.err, 'WRONGTYPE', 1, true) then return redis.call(command, key, ...) end
  return nil, wrong_type({ { key, kinds[command] } })
end

-- Returns whether what is stored is what a result was computed from; nil and an error where a key has a wrong type.
local function is_as_read(c, keys, mark_key)
  local value, wrong
  if not keys.stored then
    value, wrong = read('HMGET', keys.ledger, 'last_known_amt', 'long_amt', 'short_amt', 'version')
    if wrong then return nil, wrong end
    local _, no_times = read('ZCARD', keys.order_times)
    if no_times then return nil, no_times end
    keys.stored = { last_known_amt = text(value[1]), long_amt = text(value[2]), short_amt = text(value[3]),
      version = text(value[4]) }
  end
  local stored, before = keys.stored, c[5]
  local same = stored.last_known_amt == before[1] and stored.long_amt == before[2] and stored.short_amt == before[3]
    and stored.version == c[6]
  if #c[9] == 0 then wrong = wrong_type({ { keys.orders, 'hash' } }) end
  for _, order in ipairs(c[9]) do
    value, wrong = read('HGET', keys.orders, order[1])
    if wrong then break end
    same = same and text(value) == order[2]
  end
  if wrong then return nil, wrong end
  value, wrong = read('HGET', keys.open, 'p:' .. c[2])
  if wrong then return nil, wrong end
  same = same and text(value) == c[10]
  value, wrong = read('GET', mark_key)
  if wrong then return nil, wrong end
  return same and text(value) == c[13]
end

local function ends(value) return tonumber(string.match(value, '^(%d+)|') or 0) end

-- Keeps the plan's unknown outcome, and forgets those that have ended; ends it where `after` is empty.
local function keep_unknown(plan_id, after)
  if unknown_type ~= 'hash' and (unknown_type ~= 'none' or after == '') then return end
  if after == '' then
    redis.call('HDEL', unknown, plan_id)
    return
  end
  local stored = redis.call('HGETALL', unknown)
  for i = 1, #stored, 2 do
    if ends(stored[i + 1]) <= now then redis.call('HDEL', unknown, stored[i]) end
  end
  if redis.call('HEXISTS', unknown, plan_id) == 0 then redis.call('HSET', unknown, plan_id, after) end
  redis.call('PEXPIRE', unknown, math.max(redis.call('PTTL', unknown), ends(after) - now + 60000))
  unknown_type = 'hash'
end

local acknowledged = {}

-- Returns the time of the booking; false where the state has changed, or an error.
local function book(c)
  local entry_id, plan_id, compare, acknowledge = c[1], c[2], c[4], c[20]
  local keys = symbol_of(c[3])
  local mark_key = prefix .. ':p33:plan:' .. plan_id
  if compare then
    local unchanged, refused_by = is_as_read(c, keys, mark_key)
    if not unchanged then return refused_by or false end
  end
  local named = not_known(c[21], keys)

  -- The first write is one that a full Redis refuses, so that a refusal leaves nothing half written: the last
  -- id as it was, or without an entry to acknowledge the ledger or the open permit.
  if acknowledge then
    if #acknowledged == 0 then redis.call('SET', last, redis.call('GET', last) or '0-0') end
    acknowledged[#acknowledged + 1] = entry_id
  end
  local fields = c[7]
  if #fields > 0 then
    redis.call('HSET', keys.ledger, unpack(fields))
    redis.call('PEXPIRE', keys.ledger, c[8])
    if keys.stored then
      for i = 1, #fields, 2 do keys.stored[fields[i]] = text(fields[i + 1]) end
    end
  end
  remember_orders(keys.orders, keys.order_times, c[9], now)
  remember_orders(keys.orders, keys.order_times, named, now)
  keys.remembers = keys.remembers or #c[9] > 0 or #named > 0
  local revoked = c[12] and redis.call('DEL', prefix .. ':permit:p33:' .. plan_id) == 1
  local after = c[19]
  if c[11] and (revoked or not c[18]) then
    redis.call('HSET', keys.open, 'v', (acknowledge and 'r' or 'e') .. entry_id)
    if c[11] == '' then
      redis.call('HDEL', keys.open, 'p:' .. plan_id)
      after = ''
    else
      redis.call('HSET', keys.open, 'p:' .. plan_id, c[11])
    end
  end
  if after then keep_unknown(plan_id, after) end
  if c[14] ~= '' and compare then
    redis.call('SET', mark_key, c[14], 'PX', c[15])
  elseif c[14] ~= '' then
    redis.call('SET', mark_key, c[14], 'PX', c[15], 'NX')
  end
  if #c[16] > 0 then redis.call('XADD', dead, 'MAXLEN', '~', 10000, '*', unpack(c[16])) end
  if #c[17] > 0 then redis.call('XADD', events, 'MAXLEN', '~', 10000, '*', unpack(c[17])) end
  return now
end

local reply = {}
for i, c in ipairs(commits) do reply[i] = book(c) end
for _, keys in ipairs(in_order) do
  if keys.remembers then forget_orders(keys.orders, keys.order_times, now) end
end
if #acknowledged > 0 then redis.call('XACK', results, group, unpack(acknowledged)) end
-- The id never passes a pending result: a recreated group begins behind the id, and the pending result (which
-- may wait for an operator) would not be delivered again. Booking later results twice changes nothing.
note_acknowledged(results, group, last, acknowledged)
return reply
