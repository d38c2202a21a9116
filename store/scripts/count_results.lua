-- Counts results in the buckets of their minutes, and acknowledges them: each once, however often it is delivered.
-- ARGV: prefix, fence, beginning of the keys, stream, group, key of the last id, msgpack of limits {names of unknown
-- decisions, names of reasons, fields of symbols, ids counted ahead, life of a bucket (ms)}, msgpack of CountedResult[].
-- Returns for each 1 if it was counted, 0 if it was counted before or is not pending.
local prefix, fence, base, stream, group, last = unpack(ARGV, 1, 6)
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local most_unknown, most_reasons, most_symbols, most_ahead, bucket_ttl = unpack(cmsgpack.unpack(ARGV[7]))
local results = cmsgpack.unpack(ARGV[8])
local status, ahead = base .. ':status', base .. ':counted_ahead'
local kinds = { [stream] = 'stream', [status] = 'hash', [ahead] = 'zset', [last] = 'string' }
for _, result in ipairs(results) do kinds[base .. ':bucket:' .. result[2]] = 'hash' end
for key, wanted in pairs(kinds) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= wanted and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. kind .. ', not a ' .. wanted)
  end
end
if #results == 0 then return {} end

local now = redis.call('TIME')
local last_ms, last_seq = id_parts(redis.call('GET', last) or '0-0')
-- An id ahead of the clock is of a stream that may have begun anew.
if last_ms > now[1] * 1000 + now[2] / 1000 then last_ms, last_seq = 0, 0 end

-- Whether a pending result was not counted. One behind the last id has been dealt with, and is pending only because
-- an operator set the group back.
local function is_due(id)
  local ms, seq = id_parts(id)
  return is_before(last_ms, last_seq, ms, seq) and not redis.call('ZSCORE', ahead, id)
end

-- The kind of a field whose number in a bucket is limited, or nil.
local function kind_of(field)
  if string.find(field, '^decision:UNKNOWN:') then return 'unknown' end
  return string.match(field, '^(reason):') or string.match(field, '^(symbol_reason):')
end
local most = { unknown = most_unknown, reason = most_reasons, symbol_reason = most_symbols - 1 }
local other = { unknown = 'decision:UNKNOWN:other', reason = 'reason:other', symbol_reason = 'symbol_reason:other:other' }

local function load(key)
  local bucket = { key = key, counts = {}, grown = {}, number = { unknown = 0, reason = 0, symbol_reason = 0 } }
  local stored = redis.call('HGETALL', key)
  for i = 1, #stored, 2 do
    bucket.counts[stored[i]] = stored[i + 1]
    local kind = kind_of(stored[i])
    if kind and stored[i] ~= other[kind] then bucket.number[kind] = bucket.number[kind] + 1 end
  end
  return bucket
end

-- Counts one more of a field, or of the others of its kind. Returns the field that was counted.
local function grow(bucket, field)
  local kind = kind_of(field)
  if not bucket.counts[field] and kind and field ~= other[kind] then
    if bucket.number[kind] >= most[kind] then
      field = other[kind]
    else
      bucket.number[kind] = bucket.number[kind] + 1
    end
  end
  local stored = bucket.counts[field] or ''
  local count = string.find(stored, '^%d+$') and #stored <= 15 and tonumber(stored) or 0
  bucket.counts[field] = string.format('%.0f', count + 1)
  bucket.grown[field] = true
  return field
end

-- `ids` are the pending ones alone: of a group that was lost and created again, what a late process sends is delivered
-- once more, and must not be passed over.
local buckets, counted, ids, new, seen = {}, {}, {}, {}, {}
for i, result in ipairs(results) do
  local id, minute, decision, reason, gate, symbol = unpack(result, 1, 6)
  local pending = not seen[id] and #redis.call('XPENDING', stream, group, id, id, 1) == 1
  seen[id] = true
  counted[i] = 0
  if pending then ids[#ids + 1] = id end
  if pending and is_due(id) then
    counted[i], new[#new + 1] = 1, id
    local key = base .. ':bucket:' .. minute
    local bucket = buckets[key] or load(key)
    buckets[key] = bucket
    grow(bucket, 'decision:' .. decision)
    local name = string.sub(grow(bucket, 'reason:' .. reason), 8)
    if gate ~= '' then grow(bucket, 'gate:' .. gate .. ':' .. name) end
    if symbol ~= '' then grow(bucket, 'symbol_reason:' .. symbol .. ':' .. name) end
  end
end

local before = redis.call('HMGET', status, 'processed_total', 'last_id')
local needed = { { 'HSET', status, 'f', '' }, { 'XACK', stream, group, '0-1' }, { 'SET', last, '' },
  { 'ZADD', ahead, 1, 'm' }, { 'ZREMRANGEBYSCORE', ahead, 0, 0 }, { 'ZREMRANGEBYRANK', ahead, 0, 0 } }
for key, _ in pairs(buckets) do
  needed[#needed + 1] = { 'HSET', key, 'f', '' }
  needed[#needed + 1] = { 'PEXPIRE', key, 1 }
end
local refusal = refused(needed)
if refusal then return refusal end

local before = redis.call('HMGET', status, 'processed_total', 'last_id')
-- Of a server that is full the first write is refused, whichever it is.
for key, bucket in pairs(buckets) do
  for field, _ in pairs(bucket.grown) do redis.call('HSET', key, field, bucket.counts[field]) end
  redis.call('PEXPIRE', key, bucket_ttl)
end
if #ids == 0 then return counted end
if #new > 0 then
  local processed = before[1] and string.find(before[1], '^%d+$') and #before[1] <= 15 and tonumber(before[1]) or 0
  local newest = before[2] or '0-0'
  for _, id in ipairs(new) do
    local ms, seq = id_parts(newest)
    if is_before(ms, seq, id_parts(id)) then newest = id end
  end
  redis.call('HSET', status, 'processed_total', string.format('%.0f', processed + #new), 'last_id', newest,
    'last_ts', now[1])
end
for _, id in ipairs(ids) do redis.call('XACK', stream, group, id) end
note_acknowledged(stream, group, last, ids)
local passed_ms, passed_seq = id_parts(redis.call('GET', last) or '0-0')
for _, id in ipairs(new) do
  local ms, seq = id_parts(id)
  if is_before(passed_ms, passed_seq, ms, seq) then redis.call('ZADD', ahead, ms, id) end
end
redis.call('ZREMRANGEBYSCORE', ahead, '-inf', string.format('(%.0f', passed_ms))
redis.call('ZREMRANGEBYRANK', ahead, 0, -most_ahead - 1)
return counted
