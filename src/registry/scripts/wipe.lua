-- Removes one page of the keys that a forgotten network left, unless a network is there by now.
-- ARGV: 1 cursor.
-- Reply: the next cursor; '0' at the end. Errors: exists.
if known() then return fail('exists') end
local page = redis.call('SCAN', ARGV[1], 'MATCH', K.everything, 'COUNT', 1000)
for _, key in ipairs(page[2]) do redis.call('UNLINK', key) end
return page[1]
