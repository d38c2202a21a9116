-- Prepended to each script that calls it (`store/redis/scripts.py`).
-- Reads holds. `base` begins the reconcile engine's own keys: `<prefix>:reconcile`, in the shadow another.

-- A STRING's value: false when missing, '!' for another type.
local function string_at(key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then return false end
  return kind == 'string' and redis.call('GET', key) or '!'
end

-- Returns value, owner and reason (false for none), and the rest of its life (ms) of a hold, or nil. The owner counts
-- for a hold of value 1 that ends together with it: over another, a service that names no owner has written its own.
local function hold_at(base, symbol)
  local key, sig_key = base .. ':hold:' .. symbol, base .. ':hold_sig:' .. symbol
  local value = string_at(key)
  if not value then return nil end
  local sig, life, its_life = string_at(sig_key), redis.call('PTTL', key), redis.call('PTTL', sig_key)
  if value ~= '1' or sig == '!' or (life < 0) ~= (its_life < 0) or math.abs(life - its_life) > 10 then sig = false end
  return { value = value, sig = sig, reason = string_at(base .. ':hold_reason:' .. symbol), life = life }
end

local function is_ours(hold) return hold and hold.sig and string.sub(hold.sig, 1, 4) == 'p34:' end

-- Returns whether a hold is of an order whose record is final or an orphan's.
local function has_ended(prefix, hold)
  local client_id = hold.sig and string.match(hold.sig, '^exec:(.+)$')
  local plan_id = client_id and string_at(prefix .. ':executor:client:' .. client_id)
  if not plan_id then return false end
  local record = prefix .. ':executor:order:' .. plan_id
  local state = redis.call('TYPE', record).ok == 'hash' and redis.call('HGET', record, 'state')
  return state == 'final' or state == 'orphan'
end

-- Returns the hold that stands on a symbol. In the shadow that of another stands before the shadow's own, unless it may
-- be taken over.
local function standing_hold(prefix, base, symbol)
  local own, real = hold_at(base, symbol), prefix .. ':reconcile'
  if base == real then return own end
  local foreign = hold_at(real, symbol)
  if not foreign or (own and has_ended(prefix, foreign)) then return own end
  if is_ours(foreign) then foreign.sig = false end
  return foreign
end
