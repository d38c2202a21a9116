-- Prepended to each script that calls it (`store/redis/scripts.py`).
-- Reads what judgements of the Governor rest on, in the order of `store/governor_values.py`: false for a
-- missing text, '!' for one of a wrong type. Behind `_reading.lua`.

-- The highest score of a window that counts (epoch ms).
local latest = 999999999999999

local function add_fields(texts, key, ...)
  local reply = read('HMGET', key, ...)
  for i = 1, select('#', ...) do texts[#texts + 1] = reply == nil and '!' or reply[i] end
end

local function exists(key) return redis.call('EXISTS', key) == 1 and '1' end

-- The UTC date of a time (epoch ms), in the Gregorian calendar: years begin in March, eras have 400 of them.
local function date_of(ms)
  local day = math.floor(ms / 86400000) + 719468
  local era = math.floor(day / 146097)
  local of_era = day - era * 146097
  local year = math.floor((of_era - math.floor(of_era / 1460) + math.floor(of_era / 36524)
    - math.floor(of_era / 146096)) / 365)
  local of_year = of_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local march_month = math.floor((5 * of_year + 2) / 153)
  local month = march_month < 10 and march_month + 3 or march_month - 9
  return string.format('%04d-%02d-%02d', year + era * 400 + (month <= 2 and 1 or 0), month,
    of_year - math.floor((153 * march_month + 2) / 5) + 1)
end

-- What the Governor itself and operators change.
local function own_texts(prefix, base, date)
  local version = text_of(base .. ':version')
  return { version ~= '' and version, text_of(base .. ':disarm:' .. date),
    text_of(prefix .. ':governor:trading_state') }
end

local function neighbours_texts(prefix)
  local guard = prefix .. ':risk:guard_active:'
  return { text_of(prefix .. ':kill'), text_of(prefix .. ':global:kill_switch'), text_of(prefix .. ':system:mode'),
    exists(prefix .. ':lockdown'), exists(prefix .. ':churn:global_freeze'), text_of(guard .. 'DAILY_LOSS'),
    text_of(guard .. 'DRAWDOWN'), text_of(guard .. 'EMERGENCY_FLATTEN'), text_of(guard .. 'CONSEC_LOSS') }
end

-- What the Governor itself writes of a symbol.
local function counted_texts(base, symbol, date)
  local texts = { text_of(base .. ':daily:' .. symbol .. ':' .. date),
    text_of(base .. ':daily_reduced:' .. symbol .. ':' .. date), text_of(base .. ':last_exec:' .. symbol) }
  add_fields(texts, base .. ':kill_stats:' .. symbol, 'entry_n', 'entry_mean', 'entry_var', 'entry_ts',
    'exit_n', 'exit_mean', 'exit_var', 'exit_ts', 'exit_blocked_since')
  return texts
end

-- Adds what other services write of it.
local function add_others_texts(texts, prefix, symbol)
  texts[#texts + 1] = exists(prefix .. ':churn:blacklist:' .. symbol)
  add_fields(texts, prefix .. ':portfolio:budget:' .. symbol, 'mode', 'budget_usd', 'stress_factor', 'timestamp')
  add_fields(texts, prefix .. ':allocation:target:' .. symbol, 'mode', 'target_usd', 'confidence', 'timestamp')
  add_fields(texts, prefix .. ':capital:efficiency:' .. symbol, 'efficiency_score', 'confidence', 'ts')
end

-- The exec list, kept for its readers, holds the newest times of the window.
local function list_executions(base, symbol)
  local list, times = base .. ':exec:' .. symbol, {}
  local newest = redis.call('ZREVRANGEBYSCORE', base .. ':window:' .. symbol, latest, 0, 'WITHSCORES', 'LIMIT', 0, 100)
  for i = 2, #newest, 2 do times[#times + 1] = string.format('%.0f', math.floor(newest[i] / 1000)) end
  redis.call('DEL', list)
  if #times > 0 then
    redis.call('RPUSH', list, unpack(times))
    redis.call('PEXPIRE', list, 86400000)
  end
end
