-- Puts back what nodes know and the registry lost; counters only rise. Works before the incarnation is settled.
-- ARGV: 1 run id, 2 incarnation, 3 sequence, 4 lease epoch, 5 retired up to, 6 leader epoch or '', 7 seconds an
--   outcome is kept, 8 number of layouts, for each: number, packed layout; number of dead names, for each: name,
--   sequence; number of operations, for each: id, sequence, incarnation; then for each live name: name, version,
--   sequence, incarnation, operation id, chunk count, '1' for a catalogue or '', body, '1' when the body stays, wrap,
--   number of nodes, nodes (without duplicates).
-- Reply: OK. Errors: registry-lost, stale-incarnation, stale-leader.
if not known() then return fail('registry-lost') end
if not begun(ARGV[1], ARGV[2]) then return fail('stale-incarnation') end
if not leads(ARGV[6]) then return fail('stale-leader') end

local at = 8
local function take()
  at = at + 1
  return ARGV[at - 1]
end

local life = redis.call('HMGET', K.life, 'sequence', 'lease_epoch', 'layout')
redis.call('HSET', K.life, 'sequence', text(math.max(tonumber(life[1]), tonumber(ARGV[3]))))
if tonumber(ARGV[4]) > tonumber(life[2]) then
  redis.call('HSET', K.life, 'lease_epoch', ARGV[4])
  redis.call('DEL', K.lease)
end
local newest = tonumber(life[3])
for _ = 1, tonumber(take()) do
  local number, record = take(), take()
  if tonumber(number) > newest then
    newest = tonumber(number)
    redis.call('HSET', K.layouts, number, record)
    redis.call('HSET', K.life, 'layout', number)
  end
end
retire(tonumber(ARGV[5]))
for _ = 1, tonumber(take()) do
  local name, dead = take(), tonumber(take())
  local version, sequence = currentOf(name)
  if version and tonumber(sequence) < dead then deleteName(name) end
end
for _ = 1, tonumber(take()) do
  local operation, sequence, incarnation = take(), take(), take()
  local key = K.outcome .. operation
  if redis.call('EXISTS', key) == 0 then
    redis.call('HSET', key, 'sequence', sequence, 'incarnation', incarnation,
      'replaced_version', '', 'replaced_sequence', '')
    redis.call('EXPIRE', key, ARGV[7])
  end
end
while at <= #ARGV do
  local name, version, sequence, incarnation, operation = take(), take(), take(), take(), take()
  local chunks, catalogue, body, stays, wrap = take(), take(), take(), take(), take()
  local nodes = {}
  for each = 1, tonumber(take()) do nodes[each] = take() end
  local current, currentSequence = currentOf(name)
  if not current or tonumber(currentSequence) < tonumber(sequence) then
    local fields = { 'version', version, 'sequence', sequence, 'incarnation', incarnation, 'operation', operation,
      'chunks', chunks, 'wrap', wrap }
    if stays == '1' then
      fields[#fields + 1] = 'body'
      fields[#fields + 1] = body
    end
    writeName(name, catalogue, fields)
    setNodes(name, nodes)
  end
end
return redis.status_reply('OK')
