-- Pending changes by sequence, by name, or the oldest ones after a sequence.
-- ARGV: 1 `sequence`, `names` or `oldest`; 2 run id (names only); then one sequence, the names, or a limit and the
-- sequence after which to begin.
-- Reply: for each change found {sequence, flat fields}. Errors: registry-lost, stale-incarnation (names).
if not known() then return fail('registry-lost') end
local sequences = {}
if ARGV[1] == 'sequence' then
  sequences = { ARGV[3] }
elseif ARGV[1] == 'oldest' then
  sequences = redis.call('ZRANGEBYSCORE', K.pending, '(' .. ARGV[4], '+inf', 'LIMIT', 0, ARGV[3])
else
  if not lives(ARGV[2], '') then return fail('stale-incarnation') end
  local seen = {}
  for at = 3, #ARGV do
    local sequence = redis.call('HGET', K.pendingOf, ARGV[at])
    if sequence and not seen[sequence] then
      seen[sequence] = true
      sequences[#sequences + 1] = sequence
    end
  end
end
local replies = {}
for _, sequence in ipairs(sequences) do
  local fields = redis.call('HGETALL', K.pendingChange .. sequence)
  if #fields > 0 then replies[#replies + 1] = { sequence, fields } end
end
return replies
