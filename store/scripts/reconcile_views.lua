-- ARGV: prefix, beginning of the engine's own keys, symbols. Returns for each, in this order: an error about the first
-- key of a wrong type, the ledger's fields as `store/reconcile_values.py` names them, the fields of its open permits, the
-- noted agreement with version and amounts, the status and its times, and value, reason, owner and rest of life (ms) of
-- its hold. What is missing is false; ledger, permits and what is noted are false where their key has a wrong type.
local prefix, base, views = ARGV[1], ARGV[2], {}
for i = 3, #ARGV do
  local symbol, problem = ARGV[i], false
  local function is(wanted, key)
    local kind = redis.call('TYPE', key).ok
    if kind == wanted or kind == 'none' then return true end
    problem = problem or 'WRONGTYPE ' .. key .. ' is a ' .. kind .. ', not a ' .. wanted
    return false
  end
  local ledger, open = prefix .. ':position:ledger:' .. symbol, prefix .. ':p33:open:' .. symbol
  local state = base .. ':state:' .. symbol
  local stored, permits, noted = false, false, false
  if is('hash', ledger) then
    stored = redis.call('HMGET', ledger, 'last_known_amt', 'last_order_id', 'last_order_time_epoch', 'long_amt',
      'short_amt', 'version', 'adopted_exchange_ms', 'adopted_at_ms')
  end
  is('hash', prefix .. ':p33:orders:' .. symbol)
  is('zset', prefix .. ':p33:order_times:' .. symbol)
  if is('hash', open) then permits = redis.call('HGETALL', open) end
  if is('hash', state) then
    noted = redis.call('HMGET', state, 'agreed_ms', 'agreed_version', 'agreed_amts', 'agreed_began',
      'status', 'last_seen_ts', 'written_ms')
  end
  local hold = standing_hold(prefix, base, symbol) or {}
  views[i - 2] = { problem, stored, permits, noted, hold.value or false, hold.reason or false, hold.sig or false,
    hold.life or 0 }
end
return views
