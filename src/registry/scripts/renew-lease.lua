-- Renews or releases a lease that is still (epoch, instance).
-- ARGV: 1 epoch, 2 instance, 3 '1' to release it.
-- Reply: the lease as flat fields, nil when it is another or released. Errors: registry-lost.
if not known() then return fail('registry-lost') end
local lease = redis.call('HMGET', K.lease, 'epoch', 'instance', 'released')
if lease[1] ~= ARGV[1] or lease[2] ~= ARGV[2] or lease[3] == '1' then return false end
if ARGV[3] == '1' then
  redis.call('HSET', K.lease, 'released', '1')
else
  redis.call('HINCRBY', K.lease, 'renewal', 1)
end
return redis.call('HGETALL', K.lease)
