-- Notes that a person has seen a notice. ARGV: prefix, the notice as kind|subject, JSON of {by, until_ms}, until_ms,
-- Redis's clock (ms) as it was read, msgpack of the event's flat names and values. Marks that are over, or cannot be
-- read, are removed; of 1000 that are not, nothing more is written. Returns 1, or 0 where there are so many.
local prefix, notice, mark = unpack(ARGV, 1, 3)
local until_ms, now_ms = tonumber(ARGV[4]), tonumber(ARGV[5])
local seen, events = prefix .. ':p33:seen', prefix .. ':stream:p33.events'
for key, wanted in pairs({ [seen] = 'hash', [events] = 'stream' }) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= wanted and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. kind .. ', not a ' .. wanted)
  end
end
local refusal = refused({
  { 'XADD', events, '*', 'f', '' }, { 'HGETALL', seen }, { 'HSET', seen, 'f', '' }, { 'HDEL', seen, 'f' },
  { 'PEXPIRE', seen, '1' },
})
if refusal then return refusal end
local latest_ms, count, over = until_ms, 0, {}
local stored = redis.call('HGETALL', seen)
for i = 1, #stored, 2 do
  local read, value = pcall(cjson.decode, stored[i + 1])
  local ends_ms = read and type(value) == 'table' and type(value.by) == 'string' and value.until_ms
  if type(ends_ms) ~= 'number' or ends_ms % 1 ~= 0 then ends_ms = nil end
  if stored[i] ~= notice then
    if ends_ms and ends_ms > now_ms then
      latest_ms, count = math.max(latest_ms, ends_ms), count + 1
    else
      over[#over + 1] = stored[i]
    end
  end
end
if count >= 1000 then return 0 end
redis.call('XADD', events, 'MAXLEN', '~', 10000, '*', unpack(cmsgpack.unpack(ARGV[6])))
for _, field in ipairs(over) do redis.call('HDEL', seen, field) end
redis.call('HSET', seen, notice, mark)
redis.call('PEXPIRE', seen, string.format('%.0f', math.max(latest_ms - now_ms, 1)))
return 1
