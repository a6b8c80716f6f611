-- The step: puts, renames and removes, each whole or refused, in order. The rules are those of _decide.ts.
-- ARGV: 1 run id, 2 incarnation, 3 layout number, 4 oldest upload in ms, 5 seconds an outcome is kept, then for each
--   change: kind (put, rename, remove), operation id, name, to ('' unless rename), '1' if absent or '', if version
--   or '', version, follows, wrap epoch, body, wrap; for rename: tombstone version, follows, wrap epoch, body, wrap;
--   for put: chunk count, '1' for a catalogue or '', number of nodes, nodes (without duplicates).
-- Reply: for each change {1, sequence, incarnation, replaced version or '', replaced sequence or '', '1' if repeated,
--   '1' if catalogues came, went or changed, and whenever it is repeated, or ''}
--   or {0, code, current version or '', current sequence or ''}.
-- Errors: registry-lost.
if not known() then return fail('registry-lost') end

local at = 6
local function take()
  at = at + 1
  return ARGV[at - 1]
end

local function takeBody()
  return { version = take(), follows = take(), epoch = take(), body = take(), wrap = take() }
end

local function takeChange()
  local change = { kind = take(), operation = take(), name = take(), to = take(), absent = take(), ifVersion = take() }
  change.sealed = takeBody()
  change.target = change.kind == 'rename' and change.to or change.name
  if change.kind == 'rename' then change.tombstone = takeBody() end
  if change.kind == 'put' then
    change.chunks = take()
    change.catalogue = take()
    change.nodes = {}
    for each = 1, tonumber(take()) do change.nodes[each] = take() end
  end
  return change
end

local lifeFields = redis.call('HMGET', K.life, 'sequence', 'key_epoch', 'layout', 'incarnation')
local last = tonumber(lifeFields[1])
local keyEpoch, layout, incarnation = lifeFields[2], lifeFields[3], lifeFields[4]
local living = lives(ARGV[1], ARGV[2])
local now = nowMicros()

local function refuse(code, version, sequence)
  return { 0, code, version or '', sequence or '' }
end

local function uploadRefusal(change)
  local opened = redis.call('ZSCORE', K.uploads, change.sealed.version)
  local name = redis.call('HGET', K.uploadNames, change.sealed.version)
  if not opened or name ~= change.name then return 'upload-closed' end
  if math.floor(now / 1000) - tonumber(opened) > tonumber(ARGV[4]) then return 'upload-closed' end
  if layout ~= ARGV[3] then return 'layout-changed' end
end

local function refusalOf(change, version, sequence, targetVersion, targetSequence)
  local sealed, tombstone = change.sealed, change.tombstone
  if not living then return refuse('stale-incarnation', version, sequence) end
  if change.absent == '1' and targetVersion then return refuse('exists', targetVersion, targetSequence) end
  if change.ifVersion ~= '' and change.ifVersion ~= targetVersion then
    return refuse('conflict', targetVersion, targetSequence)
  end
  if change.kind == 'put' then
    local code = uploadRefusal(change)
    if code then return refuse(code, version, sequence) end
  else
    if not version then return refuse('not-found') end
    if version ~= sealed.version then return refuse('conflict', version, sequence) end
    if tombstone and tombstone.follows ~= sequence then return refuse('conflict', version, sequence) end
  end
  if sealed.epoch ~= keyEpoch or (tombstone and tombstone.epoch ~= keyEpoch) then
    return refuse('stale_epoch', version, sequence)
  end
  if sealed.follows ~= (targetSequence or '0') then return refuse('stale_follows', targetVersion, targetSequence) end
end

local function notePending(change, sequence)
  local sealed, tombstone = change.sealed, change.tombstone
  local key = K.pendingChange .. sequence
  redis.call('ZADD', K.pending, sequence, sequence)
  redis.call('HSET', key, 'name', change.target, 'incarnation', incarnation, 'operation', change.operation,
    'version', sealed.version, 'state', change.kind == 'remove' and 'dead' or 'live', 'body', sealed.body,
    'wrap', sealed.wrap)
  redis.call('HSET', K.pendingOf, change.name, sequence)
  if tombstone then
    redis.call('HSET', key, 'from', change.name, 'dead_version', tombstone.version, 'dead_body', tombstone.body,
      'dead_wrap', tombstone.wrap)
    redis.call('HSET', K.pendingOf, change.to, sequence)
  end
end

local function moveName(change, sequence)
  local sealed = change.sealed
  if change.kind == 'remove' then return deleteName(change.name) end
  local chunks, catalogue, nodes = change.chunks, change.catalogue, change.nodes
  if change.kind == 'rename' then
    chunks, catalogue = unpack(redis.call('HMGET', K.name .. change.name, 'chunks', 'catalogue'))
    nodes = redis.call('LRANGE', K.nodesOfFile .. change.name, 0, -1)
    deleteName(change.name)
    -- The new name may lie before the cursor of a rebuild that is under way.
    if redis.call('HEXISTS', K.life, 'rebuilding') == 1 then redis.call('SADD', K.placementsLate, change.to) end
  end
  writeName(change.target, catalogue, { 'version', sealed.version, 'sequence', sequence, 'incarnation', incarnation,
    'operation', change.operation, 'chunks', chunks, 'body', sealed.body, 'wrap', sealed.wrap })
  setNodes(change.target, nodes)
end

local function isCatalogue(name)
  return redis.call('ZSCORE', K.catalogues, name) ~= false
end

local function carryOut(change)
  local version, sequence = currentOf(change.name)
  local targetVersion, targetSequence = version, sequence
  if change.kind == 'rename' then targetVersion, targetSequence = currentOf(change.to) end
  local refusal = refusalOf(change, version, sequence, targetVersion, targetSequence)
  if refusal then return refusal end
  last = math.max(last + 1, now)
  local drawn = text(last)
  redis.call('HSET', K.life, 'sequence', drawn)
  local catalogues = change.catalogue == '1' or isCatalogue(change.name) or isCatalogue(change.target)
  moveName(change, drawn)
  redis.call('ZREM', K.uploads, change.sealed.version)
  redis.call('HDEL', K.uploadNames, change.sealed.version)
  notePending(change, drawn)
  local replacedVersion, replacedSequence = targetVersion or '', targetSequence or ''
  redis.call('HSET', K.outcome .. change.operation, 'sequence', drawn, 'incarnation', incarnation,
    'replaced_version', replacedVersion, 'replaced_sequence', replacedSequence)
  redis.call('EXPIRE', K.outcome .. change.operation, ARGV[5])
  return { 1, drawn, incarnation, replacedVersion, replacedSequence, '', catalogues and '1' or '' }
end

local replies = {}
while at <= #ARGV do
  local change = takeChange()
  local kept = redis.call('HMGET', K.outcome .. change.operation,
    'sequence', 'incarnation', 'replaced_version', 'replaced_sequence')
  if kept[1] then
    replies[#replies + 1] = { 1, kept[1], kept[2], kept[3], kept[4], '1', '1' }
  else
    replies[#replies + 1] = carryOut(change)
  end
end
return replies
