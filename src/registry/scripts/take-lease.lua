-- Takes the lease with the next epoch when it is absent, released, or still as it was seen.
-- ARGV: 1 member id, 2 instance, 3 address, 4 seen epoch or '', 5 seen renewal or '',
--   6 an epoch that the new one is above.
-- Reply: the lease as flat fields, nil when another holder moved it. Errors: registry-lost.
if not known() then return fail('registry-lost') end
local lease = redis.call('HMGET', K.lease, 'epoch', 'renewal', 'released')
if lease[1] and lease[3] ~= '1' and (lease[1] ~= ARGV[4] or lease[2] ~= ARGV[5]) then return false end
local epoch = math.max(tonumber(redis.call('HGET', K.life, 'lease_epoch')), tonumber(ARGV[6])) + 1
redis.call('HSET', K.life, 'lease_epoch', text(epoch))
redis.call('HSET', K.lease, 'epoch', text(epoch), 'renewal', '1', 'holder', ARGV[1], 'instance', ARGV[2],
  'address', ARGV[3], 'released', '0')
return redis.call('HGETALL', K.lease)
