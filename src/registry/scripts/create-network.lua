-- Makes an empty database a network's.
-- ARGV: 1 network id, 2 run id, 3 roster number, 4 roster hash, 5 key epoch, 6 packed roster,
--   7 incarnation of a network whose database was lost, or '' for a new one.
-- Reply: OK. Errors: exists.
if known() then return fail('exists') end
local again = ARGV[7] ~= ''
redis.call('HSET', K.life, 'network_id', ARGV[1], 'raised_under', again and ARGV[2] .. UNSETTLED or ARGV[2],
  'incarnation', again and ARGV[7] or '1', 'sequence', '0',
  'key_epoch', ARGV[5], 'layout', '0', 'retired', '0', 'placements', '0', 'lease_epoch', '0')
redis.call('HSET', K.roster, 'number', ARGV[3], 'hash', ARGV[4], 'record', ARGV[6])
redis.call('HSET', K.keptRosters, ARGV[3], ARGV[6])
return redis.status_reply('OK')
