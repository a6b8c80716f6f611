-- Marks changes durable on nodes and drops long bodies from their name records.
-- ARGV: 1 longest body that stays in bytes, then sequences.
-- Reply: OK. Errors: registry-lost.
if not known() then return fail('registry-lost') end
local longest = tonumber(ARGV[1])
local function settle(name, sequence)
  if not name or redis.call('HGET', K.pendingOf, name) ~= sequence then return end
  redis.call('HDEL', K.pendingOf, name)
  if redis.call('HSTRLEN', K.name .. name, 'body') > longest then redis.call('HDEL', K.name .. name, 'body') end
end
for at = 2, #ARGV do
  local key = K.pendingChange .. ARGV[at]
  local names = redis.call('HMGET', key, 'name', 'from')
  settle(names[1], ARGV[at])
  settle(names[2], ARGV[at])
  redis.call('DEL', key)
  redis.call('ZREM', K.pending, ARGV[at])
end
return redis.status_reply('OK')
