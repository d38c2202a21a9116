-- Writes decisions and their permits, each whole or not at all. ARGV: prefix, fence, group, msgpack of
-- DecisionCommit[] (store/records.py). Returns Redis's clock (ms) and a verdict for each.
-- Compares first, and decides nothing on a difference:
--   1. the lease with the fence; the types of the streams; the rights; the plan's mark: a plan that is decided
--      already is acknowledged alone
--   2. hold, cooldown, ledger and open permits of the symbol with those that the decision assumed, if it
--      rests on any
--   3. Redis's clock with not_before_ms and deadline_ms
-- Then writes in this order: reservation, plan mark, audit record, dead letter if any, acknowledgement,
-- permit (a deny as well).
-- The permit comes last: no reader sees a permit whose reservation, mark or audit record is missing.
local prefix, fence, group = ARGV[1], ARGV[2], ARGV[3]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local plans = prefix .. ':stream:apply.plan'
local audit = prefix .. ':stream:permit.audit'
local dead = prefix .. ':stream:apply.plan.dead'
for _, key in ipairs({ plans, audit, dead }) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'stream' and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. kind .. ', not a stream')
  end
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- A stored value as text: nil when missing, one word for all unreadable values.
local function text(reply)
  if not reply then return nil end
  if type(reply) == 'table' or #reply > 256 or string.find(reply, '[^\32-\126]') then return '!unreadable' end
  return reply
end

-- Reads a key: a wrong type is returned, any other error (no right to it) ends the script.
local function read(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err and not string.find(reply.err, 'WRONGTYPE', 1, true) then
    return redis.call(...)
  end
  return reply
end

local function failed(reply) return type(reply) == 'table' and reply.err end

-- Expiry of an open permit (epoch ms): nil for an unreadable one.
local function expiry(field, value)
  local digits = string.match(value, '^%u+|%l+|%u*|%d[%d.]*|(%d+)$')
  if not digits or #digits > 15 or not string.find(field, '^p:[\32-\126]+$') then return nil end
  return tonumber(digits)
end

-- Stored state of the symbol; nil and an error when a key of this service is unreadable: skipping an open
-- permit would free its quantity.
local function state_of(symbol)
  local ledger = read('HMGET', prefix .. ':position:ledger:' .. symbol, 'last_known_amt',
    'last_order_id', 'last_order_time_epoch', 'long_amt', 'short_amt')
  local known = {}
  for i = 1, 5 do known[i] = text(ledger.err and i == 1 and ledger or ledger[i]) or false end
  local stored = read('HGETALL', prefix .. ':p33:open:' .. symbol)
  if failed(stored) then return nil, stored.err end
  local version, live, expired = nil, {}, {}
  for i = 1, #stored, 2 do
    local field, value = stored[i], stored[i + 1]
    if field == 'v' then
      version = text(value)
    else
      local ends = expiry(field, value)
      if not ends then return nil, 'an open permit cannot be read' end
      if ends > now then
        live[#live + 1] = string.sub(field, 3)
        live[#live + 1] = value
      elseif #expired < 1000 then -- unpack() takes no more than 8000, and the rest can wait
        expired[#expired + 1] = field
      end
    end
  end
  return {
    hold = redis.call('EXISTS', prefix .. ':reconcile:hold:' .. symbol) == 1,
    cooldown = text(read('GET', prefix .. ':cooldown:last_exec_ts:' .. symbol)),
    ledger = known, version = version, live = live, expired = expired,
  }
end

local function as_assumed(state, settled, a)
  if state.hold ~= a[1] or state.cooldown ~= a[2] or settled ~= a[10] then return false end
  for i = 1, 5 do
    if (state.ledger[i] or nil) ~= a[i + 2] then return false end
  end
  return state.version == a[8] and #state.live / 2 == a[9]
end

local function changed(state, settled)
  local l = state.ledger
  return { 'changed', state.hold and 1 or 0, state.cooldown or false, l[1] or false, l[2] or false,
    l[3] or false, l[4] or false, l[5] or false, state.version or false, settled and 1 or 0, state.live }
end

local function decide(d)
  local entry_id, plan_id, symbol, assumed, deadline, reservation = d[1], d[2], d[3], d[4], d[5], d[10]
  local mark_key = prefix .. ':p33:plan:' .. plan_id
  local mark = read('GET', mark_key)
  if failed(mark) then return { 'broken', mark_key .. ': ' .. mark.err } end
  if mark and string.sub(mark, 1, 1) == 'D' then
    redis.call('XACK', plans, group, entry_id)
    return { 'decided' }
  end
  local open = prefix .. ':p33:open:' .. symbol
  local state, problem
  if assumed or reservation ~= '' then
    state, problem = state_of(symbol)
    if not state then return { 'broken', open .. ': ' .. problem } end
  end
  if assumed then
    local settled = mark and true or false
    if not as_assumed(state, settled, assumed) then return changed(state, settled) end
  end
  if deadline > 0 and (now > deadline or now < d[15]) then return { 'late' } end

  local expires = 0
  if reservation ~= '' then
    expires = now + d[11]
    redis.call('HSET', open, 'v', 'd' .. entry_id .. d[14], 'p:' .. plan_id,
      reservation .. '|' .. string.format('%.0f', expires))
    if #state.expired > 0 then redis.call('HDEL', open, unpack(state.expired)) end
    redis.call('PEXPIRE', open, math.max(redis.call('PTTL', open), d[11] + 60000))
  end
  redis.call('SET', mark_key, d[6], 'PX', d[7])
  redis.call('XADD', audit, 'MAXLEN', '~', 100000, '*', unpack(d[12]))
  if #d[13] > 0 then redis.call('XADD', dead, 'MAXLEN', '~', 10000, '*', unpack(d[13])) end
  redis.call('XACK', plans, group, entry_id)
  redis.call('SET', prefix .. ':permit:p33:' .. plan_id, d[8], 'PX', d[9])
  return { 'committed', expires }
end

local decisions = cmsgpack.unpack(ARGV[4])
if decisions[1] then
  local plan_id, open = decisions[1][2], prefix .. ':p33:open:' .. decisions[1][3]
  local refusal = refused({
    { 'HSET', open, 'v', '' }, { 'HDEL', open, 'v' }, { 'PTTL', open }, { 'PEXPIRE', open, 1 },
    { 'SET', prefix .. ':p33:plan:' .. plan_id, '' }, { 'XADD', audit, '*', 'f', '' },
    { 'XADD', dead, '*', 'f', '' }, { 'XACK', plans, group, '0-1' },
    { 'SET', prefix .. ':permit:p33:' .. plan_id, '' },
  })
  if refusal then return refusal end
end

local reply = { now }
for i, d in ipairs(decisions) do reply[i + 1] = decide(d) end
return reply
