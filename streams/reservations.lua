-- The shared reservation book: one call is one batch of operations, all or nothing. `rotation.book` says the same in
-- Python, and both are tested to give the same answers.
--
-- KEYS[1]  the book's state; every other key begins with the same prefix and hash tag
-- ARGV[1]  {signature, partitions, {funder -> FunderLimits}}
-- ARGV[2]  operations
-- ARGV[3]  '' to begin a restore, the generation to go on with one, 'current' otherwise
-- ARGV[4]  the partition whose restore ends with this call, or ''
-- returns  {partitions that must be restored first, generation, answers}; all packed with MessagePack
--
-- What is counted belongs to a generation: one run of the server and one signature (the funders with enhanced loans
-- and since when). A server that restarted, empty or with old data, begins a new generation, which is empty and is of
-- no use until each partition has been restored into it. So nothing is ever reserved on a book that forgot.

local NEVER = 2 ^ 53
local MOST = NEVER - 1
local KEPT_SECONDS = 40 * 24 * 3600
local STATE, FUNDER, AMOUNT, DECIDED_AT, DAY, DUE, MOST_OWED, PASSED_OVER = 1, 2, 3, 4, 5, 6, 7, 8
local RESERVED, COMMITTED, RELEASED = 1, 2, 3
local DAILY_AMOUNT, DAILY_COUNT, ENHANCED, BALANCE, GUARANTEED, CAP, GUARANTEE_SINCE = 1, 2, 3, 4, 5, 6, 7

local header = cmsgpack.unpack(ARGV[1])
local signature, partitions, limits = header[1], header[2], header[3]
local operations = cmsgpack.unpack(ARGV[2])

-- Money and times are whole numbers in doubles; Lua itself would print large ones as 1e+15.
local function digits(number)
  return string.format('%.0f', number)
end

---------------------------------------------------------------------------------------------- the generation

local function refuse_eviction()
  local memory = redis.call('INFO', 'memory')
  if string.match(memory, 'maxmemory:(%d+)') ~= '0' and not string.find(memory, 'maxmemory_policy:noeviction', 1, true) then
    error({err = 'EVICTS keys: set maxmemory-policy to noeviction'})
  end
end

local function find_generation()
  local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local book = run_id .. '|' .. partitions .. '|' .. signature
  local state = redis.call('HMGET', KEYS[1], 'book', 'generation')
  if state[1] == book then
    return state[2]
  end
  if ARGV[3] ~= '' then
    return false
  end
  local time = redis.call('TIME')
  local began = digits(math.max(time[1] * 1000000 + time[2], tonumber(state[2] or 0) + 1))
  redis.call('HSET', KEYS[1], 'book', book, 'generation', began)
  return began
end

refuse_eviction()
local generation = find_generation()
local base = KEYS[1] .. ':' .. (generation or 'none') .. ':'
local RESTORED = base .. 'restored'

local function missing_partitions()
  local missing = {}
  if redis.call('SCARD', RESTORED) < partitions then
    for partition = 0, partitions - 1 do
      if redis.call('SISMEMBER', RESTORED, partition) == 0 then
        missing[#missing + 1] = partition
      end
    end
  end
  return missing
end

local going_on = generation and (ARGV[3] == '' or ARGV[3] == generation)
if not going_on then
  local missing = missing_partitions()
  if ARGV[3] ~= 'current' or #missing > 0 then
    return cmsgpack.pack({missing, '', {}})
  end
end

---------------------------------------------------------------------------------------------- accounts

-- An account sums loans and open reservations. The open ones also stand in a sorted set by due time, and those due up
-- to `seen` are summed in `expired_*`, which is right for every `now` in [seen, next). So a call has to look into
-- the set only when a due time lies between its `now` and that span.
local accounts = {}

local function account(name, kept_seconds)
  local found = accounts[name]
  if not found then
    local packed = redis.call('GET', base .. name)
    local sums = packed and cmsgpack.unpack(packed) or {0, 0, 0, 0, 0, NEVER}
    found = {
      key = base .. name, open = base .. 'open-' .. name, kept_seconds = kept_seconds,
      amount = sums[1], count = sums[2], expired_amount = sums[3], expired_count = sums[4],
      seen = sums[5], next = sums[6],
    }
    accounts[name] = found
  end
  return found
end

local function quota(funder, day)
  return account('quota:' .. funder .. ':' .. day, KEPT_SECONDS)
end

local function guarantee(funder)
  return account('guaranteed:' .. funder)
end

local function look_at(found, now)
  local forward = now >= found.next
  local from, to, sign = found.seen, now, 1
  if not forward then
    from, to, sign = now, found.seen, -1
  end
  local passed = redis.call('ZRANGEBYSCORE', found.open, '(' .. digits(from), digits(to), 'WITHSCORES')
  for i = 1, #passed, 2 do
    found.expired_amount = found.expired_amount + sign * tonumber(string.match(passed[i], '^%d+'))
  end
  found.expired_count = found.expired_count + sign * #passed / 2
  if forward then
    local following = redis.call('ZRANGEBYSCORE', found.open, '(' .. digits(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    found.seen = tonumber(passed[#passed] or found.seen)
    found.next = tonumber(following[2] or NEVER)
  else
    found.seen = now
    found.next = tonumber(passed[2] or found.next)
  end
  found.changed = true
end

local function used(found, now)
  if now < found.seen or now >= found.next then
    look_at(found, now)
  end
  return found.amount - found.expired_amount, found.count - found.expired_count
end

local function move(found, id, amount, due, sign)
  found.changed = true
  found.amount = found.amount + sign * amount
  found.count = found.count + sign
  if not due then
    return
  end
  if due <= found.seen then
    found.expired_amount = found.expired_amount + sign * amount
    found.expired_count = found.expired_count + sign
  end
  local member = digits(amount) .. ':' .. id
  if sign > 0 then
    redis.call('ZADD', found.open, due, member)
    if due > found.seen and due < found.next then
      found.next = due
    end
  else
    redis.call('ZREM', found.open, member)
  end
end

---------------------------------------------------------------------------------------------- records

local records, changed_records = {}, {}

local function load_records()
  local ids, keys = {}, {}
  local function load()
    if #keys > 0 then
      for i, packed in ipairs(redis.call('MGET', unpack(keys))) do
        records[ids[i]] = packed and cmsgpack.unpack(packed)
      end
      ids, keys = {}, {}
    end
  end
  for _, operation in ipairs(operations) do
    ids[#ids + 1] = operation[2]
    keys[#keys + 1] = base .. 'reservation:' .. operation[2]
    if #keys == 1000 then
      load()
    end
  end
  load()
end

local function principal(record)
  return math.min(record[AMOUNT], record[MOST_OWED])
end

local function is_guaranteed(record)
  local limit = limits[record[FUNDER]]
  return limit and limit[ENHANCED] and record[DECIDED_AT] >= limit[GUARANTEE_SINCE]
end

local function weigh(id, record, sign)
  local state = record[STATE]
  if state ~= RESERVED and state ~= COMMITTED then
    return
  end
  local due = state == RESERVED and record[DUE]
  move(quota(record[FUNDER], record[DAY]), id, record[AMOUNT], due, sign)
  if is_guaranteed(record) then
    move(guarantee(record[FUNDER]), id, principal(record), due, sign)
  end
end

local function drop(id)
  if records[id] then
    weigh(id, records[id], -1)
    records[id] = false
    changed_records[id] = true
  end
end

local function put(id, record)
  drop(id)
  weigh(id, record, 1)
  records[id] = record
  changed_records[id] = true
end

local function unknown(funder)
  return {RELEASED, funder, 0, 0, '', 0, MOST, {}}
end

local function replaced(record, state, amount, decided_at, day, due)
  return {state, record[FUNDER], amount, decided_at, day, due, record[MOST_OWED], record[PASSED_OVER]}
end

---------------------------------------------------------------------------------------------- operations

local function refusal(funder, amount, now, day)
  local limit = limits[funder]
  if not limit then
    return 'quota_exhausted'
  end
  local used_amount, used_count = used(quota(funder, day), now)
  if used_amount + amount > math.min(limit[DAILY_AMOUNT], MOST) or used_count + 1 > limit[DAILY_COUNT] then
    return 'quota_exhausted'
  end
  if limit[ENHANCED] then
    local added = used(guarantee(funder), now) + amount
    local whole = limit[BALANCE] + added
    if whole > MOST or (limit[GUARANTEED] + added) / whole > limit[CAP] then
      return 'guarantee_ratio'
    end
  end
  return false
end

local function contains(list, wanted)
  for _, item in ipairs(list) do
    if item == wanted then
      return true
    end
  end
  return false
end

-- Each takes its operation, what is stored of its id, and that once more if it is of the operation's own funder.
local apply = {}

function apply.Reserve(operation, stored)
  local _, id, candidates, amount, now, day, due = unpack(operation)
  local offered = stored and contains(candidates, stored[FUNDER])
  if stored then
    local same = offered and stored[DUE] == due and stored[DAY] == day and stored[AMOUNT] == amount
    if stored[STATE] == COMMITTED or same then
      return {stored[FUNDER], stored[PASSED_OVER]}
    end
  end
  drop(id)
  local chosen, passed_over = nil, {}
  if offered and not refusal(stored[FUNDER], amount, now, day) then
    chosen, passed_over = stored[FUNDER], stored[PASSED_OVER]
  else
    for _, funder in ipairs(candidates) do
      local reason = refusal(funder, amount, now, day)
      if not reason then
        chosen = funder
        break
      end
      passed_over[#passed_over + 1] = {funder, reason}
    end
  end
  if chosen then
    put(id, {RESERVED, chosen, amount, now, day, due, MOST, passed_over})
  end
  return {chosen or cjson.null, passed_over}
end

function apply.Commit(operation, stored, ours)
  local _, id, funder, amount, decided_at, day = unpack(operation)
  if not stored or stored[STATE] ~= COMMITTED then
    local loan = ours or unknown(funder)
    put(id, replaced(loan, COMMITTED, amount, decided_at, day, loan[DUE]))
  end
end

function apply.Release(operation, _, ours)
  if ours and ours[STATE] == RESERVED then
    put(operation[2], replaced(ours, RELEASED, ours[AMOUNT], ours[DECIDED_AT], ours[DAY], ours[DUE]))
  end
end

function apply.Repay(operation, _, ours)
  local _, id, funder, outstanding = unpack(operation)
  local limit = limits[funder]
  if ours and limit and limit[ENHANCED] and outstanding < ours[MOST_OWED] then
    local lowered = {unpack(ours)}
    lowered[MOST_OWED] = outstanding
    put(id, lowered)
  end
end

function apply.Restore(operation, _, ours)
  local _, id, funder, amount, decided_at, day = unpack(operation, 1, 6)
  local due, outstanding = operation[7], operation[8]
  local loan = ours or unknown(funder)
  local restored = {unpack(loan)}
  if not ours or (not due and loan[STATE] ~= COMMITTED) then
    restored = replaced(loan, due and RESERVED or COMMITTED, amount, decided_at, day, due or 0)
  end
  restored[MOST_OWED] = math.min(loan[MOST_OWED], outstanding)
  put(id, restored)
end

-- For people: what each funder holds on a day. No record is touched.
function apply.Usage(operation)
  local _, _, day, now = unpack(operation)
  local usage = {}
  for funder in pairs(limits) do
    local amount, count = used(quota(funder, day), now)
    usage[#usage + 1] = {funder, {amount, count, (used(guarantee(funder), now))}}
  end
  return usage
end

---------------------------------------------------------------------------------------------- the call

load_records()
local answers = {}
for i, operation in ipairs(operations) do
  local stored = records[operation[2]]
  local ours = stored and stored[FUNDER] == operation[3] and stored
  answers[i] = apply[operation[1]](operation, stored, ours) or cjson.null
end

for id in pairs(changed_records) do
  local record, key = records[id], base .. 'reservation:' .. id
  if not record then
    redis.call('DEL', key)
  elseif record[STATE] == COMMITTED and is_guaranteed(record) and principal(record) > 0 then
    redis.call('SET', key, cmsgpack.pack(record))
  else
    redis.call('SET', key, cmsgpack.pack(record), 'EX', KEPT_SECONDS)
  end
end
for _, found in pairs(accounts) do
  if found.changed then
    redis.call('SET', found.key, cmsgpack.pack({
      found.amount, found.count, found.expired_amount, found.expired_count, found.seen, found.next,
    }))
    if found.kept_seconds then
      redis.call('EXPIRE', found.key, found.kept_seconds)
      redis.call('EXPIRE', found.open, found.kept_seconds)
    end
  end
end
local missing = {}
if ARGV[4] ~= '' then
  redis.call('SADD', RESTORED, ARGV[4])
  missing = missing_partitions()
end
return cmsgpack.pack({missing, generation, answers})
