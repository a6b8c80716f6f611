-- Inserts or replaces a member, or sets the state of a known one; keeps `network:nodes` to the first addresses of
-- the nodes that are not removed, each once. When a node moves, the placement keys lag until they are rebuilt.
-- ARGV: 1 member id, 2 JSON without state, or '' to change the state only, 3 state, 4 reason,
--       5 state since in ms, or '' for now unless the state is the same, 6 address for `network:nodes` or '',
--       7 the state it must be in, 'none' when there must be no such member, or '' for any, 8 leader epoch or ''.
-- Reply: 1 done, 0 in another state or led by another; no such member (state only). Errors: registry-lost.
if not known() then return fail('registry-lost') end
local id, record, state, reason, since, address, from, epoch = unpack(ARGV)
if not leads(epoch) then return 0 end
local oldState, oldSince = string.match(redis.call('HGET', K.memberStates, id) or 'none 0', '^(%S+) (%S+)')
if from ~= '' and oldState ~= from then return 0 end
if record == '' then
  if oldState == 'none' then return 0 end
  since = oldState == state and oldSince or text(nowMs())
  -- The address is among the addresses of the record; the caller cannot know it without a race.
  local member = cjson.decode(redis.call('HGET', K.members, id))
  if member.role == 'node' and member.addresses[1] then address = member.addresses[1] end
else
  redis.call('HSET', K.members, id, record)
end
redis.call('HSET', K.memberStates, id, state .. ' ' .. since .. ' ' .. reason)
local was = redis.call('HGET', K.memberAddresses, id)
if was and address ~= '' and was ~= address and state ~= 'removed' then
  redis.call('HSET', K.life, 'placements', '0')
  redis.call('HDEL', K.life, 'rebuilding')
end
if address == '' or state == 'removed' then
  redis.call('HDEL', K.memberAddresses, id)
else
  redis.call('HSET', K.memberAddresses, id, address)
end
redis.call('DEL', K.nodes)
local seen = {}
for _, each in ipairs(redis.call('HVALS', K.memberAddresses)) do
  if not seen[each] then redis.call('RPUSH', K.nodes, each) end
  seen[each] = true
end
return 1
