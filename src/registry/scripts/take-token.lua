-- Consumes one use of a join token for a key.
-- ARGV: 1 token id, 2 key hash.
-- Reply: taken, repeated, used, unknown. Errors: registry-lost.
if not known() then return fail('registry-lost') end
local token = redis.call('HGET', K.tokens, ARGV[1])
if not token then return 'unknown' end
local uses = redis.call('LRANGE', K.tokenUses .. ARGV[1], 0, -1)
for _, key in ipairs(uses) do
  if key == ARGV[2] then return 'repeated' end
end
if #uses >= cjson.decode(token).usesMax then return 'used' end
redis.call('RPUSH', K.tokenUses .. ARGV[1], ARGV[2])
return 'taken'
