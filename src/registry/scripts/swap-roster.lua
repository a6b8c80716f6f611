-- Compare-and-set of the roster on (number, hash).
-- ARGV: 1 expected number, 2 expected hash, 3 number, 4 hash, 5 key epoch, 6 packed roster, 7 '1' to keep it; with a
--   new key epoch also 8 epoch and 9 bytes of the chain record, then for each box: recipient, kind:epoch, packed box.
--   A recipient's boxes of that kind for older epochs go.
-- Reply: 1 swapped, 0 another roster is there. Errors: registry-lost.
if not known() then return fail('registry-lost') end
local found = redis.call('HMGET', K.roster, 'number', 'hash')
if found[1] ~= ARGV[1] or found[2] ~= ARGV[2] then return 0 end
redis.call('HSET', K.roster, 'number', ARGV[3], 'hash', ARGV[4], 'record', ARGV[6])
redis.call('HSET', K.life, 'key_epoch', ARGV[5])
if ARGV[7] == '1' then redis.call('HSET', K.keptRosters, ARGV[3], ARGV[6]) end
if ARGV[8] then
  redis.call('HSET', K.chain, ARGV[8], ARGV[9])
  for at = 10, #ARGV, 3 do
    redis.call('SADD', K.boxRecipients, ARGV[at])
    local kind, epoch = string.match(ARGV[at + 1], '^(%d+):(%d+)$')
    for _, field in ipairs(redis.call('HKEYS', K.boxesOf .. ARGV[at])) do
      local oldKind, oldEpoch = string.match(field, '^(%d+):(%d+)$')
      if oldKind == kind and tonumber(oldEpoch) < tonumber(epoch) then
        redis.call('HDEL', K.boxesOf .. ARGV[at], field)
      end
    end
    redis.call('HSET', K.boxesOf .. ARGV[at], ARGV[at + 1], ARGV[at + 2])
  end
end
return 1
