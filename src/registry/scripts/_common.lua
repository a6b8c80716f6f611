-- Helpers in front of every script. K holds the key names (keys.ts writes that table in front of this file, from
-- constants alone). Scripts declare no KEYS: they span keys that only the data names (the lists of a name's old
-- nodes), which Redis Cluster cannot do and one server can; cluster is not supported (design, section 9).
-- Convention: check first, write afterwards, because Redis does not undo a script that fails half way.
-- Errors: `OPERA <code>` becomes an OperaError of that code.
-- Sequences, times in µs and epochs are doubles here, below 2^53; they leave as text without exponent.

local function fail(code)
  return redis.error_reply('OPERA ' .. code)
end

local function text(number)
  return string.format('%.0f', number)
end

local function nowMicros()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function nowMs()
  return math.floor(nowMicros() / 1000)
end

local function known()
  return redis.call('HEXISTS', K.life, 'network_id') == 1
end

-- True when `run_id` is the server this incarnation began under, and the incarnation is the current one ('' = any).
local function lives(run_id, incarnation)
  local life = redis.call('HMGET', K.life, 'raised_under', 'incarnation')
  return life[1] == run_id and (incarnation == '' or life[2] == incarnation)
end

-- As lives, and also between raising the incarnation and settling it.
local function begun(run_id, incarnation)
  local life = redis.call('HMGET', K.life, 'raised_under', 'incarnation')
  return (life[1] == run_id or life[1] == run_id .. UNSETTLED) and life[2] == incarnation
end

-- True when `epoch` holds the lease, or nobody asks ('').
local function leads(epoch)
  if epoch == '' then return true end
  local lease = redis.call('HMGET', K.lease, 'epoch', 'released')
  return lease[1] == epoch and lease[2] ~= '1'
end

-- Lists without duplicates: beside each stands a hash value → index, and removal swaps with the last (0.15 ms at
-- 10^6 entries, where LREM takes 16 ms).
local function listAdd(list, index, value)
  if redis.call('HEXISTS', index, value) == 1 then return end
  local length = redis.call('RPUSH', list, value)
  redis.call('HSET', index, value, text(length - 1))
end

local function listRemove(list, index, value)
  local at = redis.call('HGET', index, value)
  if not at then return end
  local last = redis.call('RPOP', list)
  redis.call('HDEL', index, value)
  if last ~= value then
    redis.call('LSET', list, at, last)
    redis.call('HSET', index, last, at)
  end
end

-- Makes `nodes` (an array without duplicates) the owners of `name` in all public keys.
local function setNodes(name, nodes)
  local file = K.nodesOfFile .. name
  local wanted = {}
  for _, node in ipairs(nodes) do wanted[node] = true end
  for _, node in ipairs(redis.call('LRANGE', file, 0, -1)) do
    if not wanted[node] then listRemove(K.dataOfNode .. node, K.indexOfNode .. node, name) end
  end
  redis.call('DEL', file)
  for _, node in ipairs(nodes) do
    redis.call('RPUSH', file, node)
    listAdd(K.dataOfNode .. node, K.indexOfNode .. node, name)
  end
end

-- version, sequence as text; version is false when there is no such name.
local function currentOf(name)
  local found = redis.call('HMGET', K.name .. name, 'version', 'sequence')
  return found[1], found[2]
end

-- `catalogue` is '1' or not; the field is absent from the hash when it is not.
local function writeName(name, catalogue, fields)
  redis.call('DEL', K.name .. name)
  redis.call('HSET', K.name .. name, unpack(fields))
  redis.call('ZADD', K.names, 0, name)
  if catalogue == '1' then
    redis.call('HSET', K.name .. name, 'catalogue', '1')
    redis.call('ZADD', K.catalogues, 0, name)
  else
    redis.call('ZREM', K.catalogues, name)
  end
  listAdd(K.data, K.indexOfData, name)
end

local function deleteName(name)
  setNodes(name, {})
  redis.call('DEL', K.name .. name)
  redis.call('ZREM', K.names, name)
  redis.call('ZREM', K.catalogues, name)
  listRemove(K.data, K.indexOfData, name)
  redis.call('SREM', K.placementsLate, name)
end

-- A name as it is answered: see nameOf in _redis-codec.ts.
local function recordOf(name)
  local found = redis.call('HMGET', K.name .. name,
    'version', 'sequence', 'incarnation', 'operation', 'chunks', 'catalogue', 'body', 'wrap')
  if not found[1] then return false end
  found[9] = redis.call('HGET', K.pendingOf, name)
  found[10] = name
  return found
end

-- Raises the number up to which layouts are retired, at most to the one before the newest, and forgets them.
local function retire(number)
  local life = redis.call('HMGET', K.life, 'layout', 'retired')
  local upTo = math.max(tonumber(life[2]), math.min(number, tonumber(life[1]) - 1))
  redis.call('HSET', K.life, 'retired', text(upTo))
  for _, each in ipairs(redis.call('HKEYS', K.layouts)) do
    if tonumber(each) <= upTo then redis.call('HDEL', K.layouts, each) end
  end
  return redis.status_reply('OK')
end
