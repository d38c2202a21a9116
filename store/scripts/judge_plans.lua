-- Writes judgements of the Governor, each whole or not at all, up to the first whose basis has changed.
-- ARGV: prefix, fence, msgpack of names that are unpacked below, msgpack of judgements (`store/governor_values.py`).
-- Returns Redis's clock (ms) and a verdict for each judgement up to the first that was not written.
-- Each is compared with what is found here, not with what was read: the plan's mark, the texts of the account
-- and the symbol that it rests on, the number of live grants and of the symbol's grants in its window, and the UTC day. Each of these
-- is read once a batch, and followed through the batch's own writes.
-- The version comes first: if a later write fails, what was read before holds no more. The permit comes last: no
-- reader sees one that is not counted.
local prefix, fence = ARGV[1], ARGV[2]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
-- `acts` is false in the shadow: nothing is written then that another service reads.
local base, plans, group, last, dead, events, audit, acts = unpack(cmsgpack.unpack(ARGV[3]))
local judgements = cmsgpack.unpack(ARGV[4])
local reserved, state_key = base .. ':reserved', prefix .. ':governor:trading_state'

local symbol, plan_id = '', ''
for _, j in ipairs(judgements) do
  plan_id = j[2]
  if j[3] ~= '' then symbol = j[3] end
end
for _, key in ipairs({ plans, dead, events, audit }) do
  if not is_free_for('stream', key) then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. redis.call('TYPE', key).ok .. ', not a stream')
  end
end
-- Counts of a wrong type stop no close: what rests on them is not written, and nothing is opened meanwhile.
local counts_grants, windows_free = is_free_for('hash', reserved), {}
local function counts_window(symbol)
  if windows_free[symbol] == nil then windows_free[symbol] = is_free_for('zset', base .. ':window:' .. symbol) end
  return windows_free[symbol]
end
-- By plan: its mark, if it was decided or observed before. Another service's key in the place of a mark is replaced.
local decided = {}
for _, j in ipairs(judgements) do
  local key = base .. ':plan:' .. j[2]
  decided[j[2]] = redis.call('TYPE', key).ok == 'string' and redis.call('GET', key)
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local date = date_of(now)

-- Returns the commands that these judgements may run, with the keys of the last symbol and plan among them.
local function needed()
  local permit, block, observed, reserves, counts, opened, reduced, executed, disarms, audited, has_events, dies
  for _, j in ipairs(judgements) do
    local granted = j[12]
    permit, block, observed = permit or j[9] ~= '', block or j[11] ~= '', observed or #j[13] > 0
    if granted then
      reserves, counts, opened = reserves or granted[1] ~= '', counts or granted[3], opened or granted[4]
      reduced, executed = reduced or granted[5], executed or granted[6]
    end
    disarms, audited, has_events = disarms or j[14], audited or #j[15] > 0, has_events or #j[16] > 0
    dies = dies or #j[17] > 0
  end
  local stats, list = base .. ':kill_stats:' .. symbol, base .. ':exec:' .. symbol
  local window, day = base .. ':window:' .. symbol, symbol .. ':' .. date
  local commands = { { 'SET', base .. ':version', '' }, { 'SET', base .. ':plan:' .. plan_id, '' },
    { 'SET', last, '' }, { 'XACK', plans, group, '0-1' } }
  local function add(wanted, ...)
    if wanted then commands[#commands + 1] = { ... } end
  end
  add(permit and acts, 'SET', prefix .. ':permit:' .. plan_id, '')
  add(block and acts, 'SET', prefix .. ':governor:block:' .. plan_id, '')
  add(observed, 'HSET', stats, 'f', '')
  add(observed, 'HDEL', stats, 'f')
  add(observed, 'PEXPIRE', stats, 1)
  add(observed, 'DEL', stats)
  add(reserves, 'HSET', reserved, 'f', '')
  add(counts, 'ZADD', window, 1, 'f')
  add(counts, 'ZREMRANGEBYSCORE', window, 0, 0)
  add(counts, 'ZREVRANGEBYSCORE', window, 0, 0)
  add(counts, 'PEXPIRE', window, 1)
  add(counts, 'DEL', list)
  add(counts, 'RPUSH', list, '')
  add(counts, 'PEXPIRE', list, 1)
  add(opened, 'SET', base .. ':daily:' .. day, '')
  add(reduced, 'SET', base .. ':daily_reduced:' .. day, '')
  add(executed, 'SET', base .. ':last_exec:' .. symbol, '')
  add(executed, 'DEL', base .. ':last_exec:' .. symbol)
  add(disarms, 'SET', base .. ':disarm:' .. date, '')
  add(disarms and acts, 'SET', state_key, '')
  add(disarms or has_events, 'XADD', events, '*', 'f', '')
  add(audited, 'XADD', audit, '*', 'f', '')
  add(dies, 'XADD', dead, '*', 'f', '')
  return commands
end

local refusal = #judgements > 0 and refused(needed())
if refusal then return refusal end

local own = own_texts(prefix, base, date)
local live = counts_grants and redis.call('HLEN', reserved) or -1
-- By symbol: its texts, those of its counts and statistics joined, unless they were changed since, and those of
-- other services; and from which time on its window was counted, with the number. What other services write is read
-- for entries alone.
local texts, counts_of, others_of, windows, neighbours = {}, {}, {}, {}, nil
-- Keys of statistics that live on from now, and by symbol whose window has grown the time of its latest grant.
local renewed, grown = {}, {}

local function texts_of(symbol)
  texts[symbol] = texts[symbol] or counted_texts(base, symbol, date)
  return texts[symbol]
end

local function others_texts(symbol)
  if not others_of[symbol] then
    local found = {}
    add_others_texts(found, prefix, symbol)
    others_of[symbol] = joined(found, 1, 12)
  end
  return others_of[symbol]
end

local function granted_since(symbol, from)
  local counted = windows[symbol]
  if not counted or counted[1] ~= from then
    counted = { from, counts_window(symbol) and redis.call('ZCOUNT', base .. ':window:' .. symbol, from, latest) or -1 }
    windows[symbol] = counted
  end
  return counted[2]
end

local function holds(symbol, basis)
  local of_account, others, grants, of_symbol, about_symbol, granted, from, on, part = unpack(basis, 1, 9)
  local found = texts_of(symbol)
  if part == 'entry' then return joined(found, 4, 7) == of_symbol end
  if part == 'exit' then return joined(found, 8, 12) == of_symbol end
  if part == 'close' then
    return on == date and joined(own, 1, 3) == of_account
      and joined(found, 2, 2) .. joined(found, 8, 12) == of_symbol
  end
  counts_of[symbol] = counts_of[symbol] or joined(found, 1, 12)
  neighbours = neighbours or joined(neighbours_texts(prefix), 1, 9)
  return on == date and joined(own, 1, 3) == of_account and neighbours == others and live == grants
    and granted_since(symbol, from) == granted and counts_of[symbol] == of_symbol
    and others_texts(symbol) == about_symbol
end

local function observe(symbol, stats)
  local key, name, found = base .. ':kill_stats:' .. symbol, stats[1], texts_of(symbol)
  local first, set = name == 'entry' and 4 or 8, { 'v', '1' }
  if found[4] == '!' and redis.call('TYPE', key).ok ~= 'hash' then
    redis.call('DEL', key)
    for i = 4, 12 do found[i] = false end
  end
  for i, field in ipairs({ '_n', '_mean', '_var', '_ts', '_blocked_since' }) do
    local text, place = stats[i + 1], first + i - 1
    if text == '' then
      if found[place] then redis.call('HDEL', key, name .. field) end
      found[place] = false
    elseif text then
      set[#set + 1] = name .. field
      set[#set + 1] = text
      found[place] = text
    end
  end
  redis.call('HSET', key, unpack(set))
  if not renewed[key] then redis.call('PEXPIRE', key, 604800000) end
  renewed[key], counts_of[symbol] = true, nil
end

local function count(plan_id, symbol, granted)
  local reservation, at, counts, opened, reduced, executed = unpack(granted, 1, 6)
  local window, found, counted = base .. ':window:' .. symbol, texts_of(symbol), windows[symbol]
  if reservation ~= '' and counts_grants then live = live + redis.call('HSET', reserved, plan_id, reservation) end
  if counts and counts_window(symbol) then
    local added = redis.call('ZADD', window, at, plan_id)
    if counted and at >= counted[1] then counted[2] = counted[2] + added end
    grown[symbol] = math.max(at, grown[symbol] or 0)
  end
  if opened then redis.call('SET', base .. ':daily:' .. symbol .. ':' .. date, opened, 'PX', 172800000) end
  if reduced then redis.call('SET', base .. ':daily_reduced:' .. symbol .. ':' .. date, reduced, 'PX', 172800000) end
  if executed == '' then
    redis.call('DEL', base .. ':last_exec:' .. symbol)
  elseif executed then
    redis.call('SET', base .. ':last_exec:' .. symbol, executed, 'PX', 3600000)
  end
  found[1], found[2] = opened or found[1], reduced or found[2]
  if executed then found[3] = executed ~= '' and executed end
  counts_of[symbol] = nil
end

local function disarm(reason, reason_json, context, reduces)
  local seconds = string.format('%.3f', now / 1000)
  local mark = '{"reason":' .. reason_json .. ',"context":' .. context .. ',"timestamp":' .. seconds .. '}'
  if not redis.call('SET', base .. ':disarm:' .. date, mark, 'PX', 86400000, 'NX') then return end
  own[2] = mark
  reduces = reduces and acts
  redis.call('XADD', events, 'MAXLEN', '~', 10000, '*', 'event', 'AUTO_DISARM', 'reason', reason, 'context', context,
    'timestamp', seconds, 'action_taken', reduces and 'trading_state=REDUCING' or 'none')
  if reduces then
    redis.call('SET', state_key, 'REDUCING')
    own[3] = 'REDUCING'
  end
end

local function judge(j)
  local entry_id, plan_id, symbol, basis, deadline, version, mark, mark_ttl = unpack(j, 1, 8)
  local permit, permit_ttl, block, granted, stats, disarms, record, more, dead_fields, was_observed = unpack(j, 9, 18)
  local mark_key, found = base .. ':plan:' .. plan_id, decided[plan_id]
  -- An observation does not decide a judgement that comes later.
  if found and (mark == 'observed' or found ~= 'observed') then
    redis.call('XACK', plans, group, entry_id)
    return 'decided'
  end
  if found and not was_observed then return 'observed' end
  if basis and not holds(symbol, basis) then return 'changed' end
  if deadline > 0 and now > deadline then return 'late' end
  -- The grants of a batch share one.
  if version ~= '' and own[1] ~= version then
    redis.call('SET', base .. ':version', version)
    own[1] = version
  end
  if #stats > 0 then observe(symbol, stats) end
  if granted then count(plan_id, symbol, granted) end
  redis.call('SET', mark_key, mark, 'PX', mark_ttl)
  decided[plan_id] = mark
  for _, event in ipairs(more) do redis.call('XADD', events, 'MAXLEN', '~', 10000, '*', unpack(event)) end
  if #record > 0 then redis.call('XADD', audit, 'MAXLEN', '~', 100000, '*', unpack(record)) end
  if #dead_fields > 0 then redis.call('XADD', dead, 'MAXLEN', '~', 10000, '*', unpack(dead_fields)) end
  if block ~= '' and acts then redis.call('SET', prefix .. ':governor:block:' .. plan_id, block, 'PX', 3600000) end
  if disarms then disarm(unpack(disarms)) end
  redis.call('XACK', plans, group, entry_id)
  if permit ~= '' and acts then redis.call('SET', prefix .. ':permit:' .. plan_id, permit, 'PX', permit_ttl) end
  return 'committed'
end

local reply, acknowledged = { now }, {}
for i, j in ipairs(judgements) do
  reply[i + 1] = judge(j)
  if reply[i + 1] ~= 'committed' and reply[i + 1] ~= 'decided' then break end
  acknowledged[i] = j[1]
end
-- Once a symbol: the list is for readers, and no limit rests on it.
for symbol, at in pairs(grown) do
  local window = base .. ':window:' .. symbol
  redis.call('ZREMRANGEBYSCORE', window, '-inf', at - 90000000)
  redis.call('PEXPIRE', window, 90000000)
  list_executions(base, symbol)
end
note_acknowledged(plans, group, last, acknowledged)
return reply
