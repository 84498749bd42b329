-- Adds one batch of the projection to the board, all or nothing, and forgets what is too old (`console.board`).
--
-- KEYS[1]  the board; every other key begins with it
-- ARGV[1]  the batch: {stood, offsets, borrowers, drawdowns, minutes, states, alerts}, packed with MessagePack
-- ARGV[2]  how much is kept: {borrowers, drawdowns, minutes, alerts, events of a borrower, ms}, likewise
-- returns  1, or 0 when the board does not stand where the batch begins
--
-- Numbers of the batch are texts: Lua itself would print large ones as 1e+15.

local batch, kept = cmsgpack.unpack(ARGV[1]), cmsgpack.unpack(ARGV[2])
local stood, offsets, borrowers, drawdowns, minutes, states, alerts = unpack(batch)
local most_borrowers, most_drawdowns, most_minutes, most_alerts, most_events, kept_ms = unpack(kept)

local function key(...)
  return table.concat({KEYS[1], ...}, ':')
end

if stood and redis.call('EXISTS', key('offsets')) == 0 then
  return 0
end
for _, partition in ipairs(offsets) do
  local name, from = partition[1], partition[2]
  if (redis.call('HGET', key('offsets'), name) or '') ~= from then
    return 0
  end
end

for _, borrower in ipairs(borrowers) do
  local id, newest, events = unpack(borrower)
  local timeline = key('borrower', id)
  for _, event in ipairs(events) do
    redis.call('LPUSH', timeline, event)
  end
  redis.call('LTRIM', timeline, 0, most_events - 1)
  redis.call('PEXPIRE', timeline, kept_ms)
  redis.call('ZADD', key('borrowers'), 'GT', newest, id)
end
for _, drawdown in ipairs(drawdowns) do
  local id, borrower, at = unpack(drawdown)
  redis.call('SET', key('drawdown', id), borrower, 'PX', kept_ms)
  redis.call('ZADD', key('drawdowns'), at, id)
end
for _, minute in ipairs(minutes) do
  local number, counts = unpack(minute)
  for name, count in pairs(counts) do
    redis.call('HINCRBY', key('minute', number), name, count)
  end
  redis.call('PEXPIRE', key('minute', number), kept_ms)
  redis.call('ZADD', key('minutes'), number, number)
end
for id, state in pairs(states) do
  redis.call('HSET', key('states'), id, state)
end
for _, alert in ipairs(alerts) do
  redis.call('LPUSH', key('alerts'), alert)
end
redis.call('LTRIM', key('alerts'), 0, most_alerts - 1)
for _, partition in ipairs(offsets) do
  redis.call('HSET', key('offsets'), partition[1], partition[3])
end

local function forget_oldest(family, most)
  local members = key(family .. 's')
  local surplus = redis.call('ZCARD', members) - most
  if surplus > 0 then
    local oldest = redis.call('ZPOPMIN', members, surplus)
    for n = 1, #oldest, 2 do
      redis.call('UNLINK', key(family, oldest[n]))
    end
  end
end

forget_oldest('borrower', most_borrowers)
forget_oldest('drawdown', most_drawdowns)
forget_oldest('minute', most_minutes)
return 1
