-- Sets the trading state by the word of an operator. ARGV: prefix, the text as it was seen ('=' with it, or '' for
-- none), the state, msgpack of the event's flat names and values. Returns 1, or 0 where the text is another.
local prefix, before, state = unpack(ARGV, 1, 3)
local key, events = prefix .. ':governor:trading_state', prefix .. ':stream:governor.events'
local kind = redis.call('TYPE', events).ok
if kind ~= 'stream' and kind ~= 'none' then
  return redis.error_reply('WRONGTYPE ' .. events .. ' is a ' .. kind .. ', not a stream')
end
local refusal = refused({ { 'XADD', events, '*', 'f', '' }, { 'SET', key, '' } })
if refusal then return refusal end
local found = text_of(key)
if (found and '=' .. found or '') ~= before then return 0 end
redis.call('XADD', events, 'MAXLEN', '~', 10000, '*', unpack(cmsgpack.unpack(ARGV[4])))
redis.call('SET', key, state)
return 1
