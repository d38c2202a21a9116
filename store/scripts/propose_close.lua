-- Publishes a close that the engine proposes, once in a while. ARGV: prefix, fence, beginning of the engine's own keys,
-- stream of its events, 1 or 0 in the shadow (where no plan is published), msgpack of what is unpacked below. Returns 1;
-- or 0, with nothing written, where a close of the symbol may yet be executed (`out`), this one was published before, or
-- the hold's owner is another. The hold lives for `ttl`.
-- The mark comes first, the plan last.
local prefix, fence, base, events, acts = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1'
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local r = cmsgpack.unpack(ARGV[6])
local symbol, stream, mark, mark_ttl, sig, ttl, plan, event, out, plan_id = unpack(r, 1, 10)
local client_key, client_ttl = unpack(r, 11, 12)
local hold_key = base .. ':hold:' .. symbol
local reason_key = base .. ':hold_reason:' .. symbol
local sig_key = base .. ':hold_sig:' .. symbol
local expected = { { events, 'stream' } }
local needed = { { 'TYPE', out }, { 'SET', mark, '' }, { 'SET', out, '' }, { 'SET', client_key, '' },
  { 'XADD', events, '*', 'f', '' } }
for _, key in ipairs({ hold_key, reason_key, sig_key }) do needed[#needed + 1] = { 'PEXPIRE', key, 1 } end
if acts then
  expected[2] = { stream, 'stream' }
  needed[#needed + 1] = { 'XADD', stream, '*', 'f', '' }
end
for _, pair in ipairs(expected) do
  local kind = redis.call('TYPE', pair[1]).ok
  if kind ~= pair[2] and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. pair[1] .. ' is a ' .. kind .. ', not a ' .. pair[2])
  end
end
local refusal = refused(needed)
if refusal then return refusal end

local hold = standing_hold(prefix, base, symbol)
if not is_ours(hold) or hold.sig ~= sig then return 0 end
-- Two closes of different drifts, executed one after the other, would close more than either excess.
if redis.call('TYPE', out).ok ~= 'none' then return 0 end
if not redis.call('SET', mark, '1', 'PX', mark_ttl, 'NX') then return 0 end
redis.call('SET', out, plan_id, 'PX', mark_ttl)
redis.call('SET', client_key, plan_id, 'PX', client_ttl)
for _, key in ipairs({ sig_key, reason_key, hold_key }) do redis.call('PEXPIRE', key, ttl) end
if #event > 0 then redis.call('XADD', events, 'MAXLEN', '~', 10000, '*', unpack(event)) end
if acts then redis.call('XADD', stream, '*', unpack(plan)) end
return 1
