// Every limit of the program in one table: value, unit in the name, and the reason. Relations between them are
// checked at start by assertLimits. Sizes fixed by stored formats stand in crypto/geometry.ts, not here.
// Limits of catalogues, indexes and queries are kept in _star-limits.ts, and used by this table as all others.
import { OperaError } from '../errors/errors.ts';
import { starLimits } from './_star-limits.ts';

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

export const limits = {
  // ---- messages
  /** JSON part of a message. 1,000 entries with base64 bodies of 1 KiB fit twice; larger is an attack or a bug. */
  messageBytesMax: 4 * 1024 * 1024,
  /**
   * Records of names in one answer: half a message, the rest is for a plan (layouts and nodes of a large network). The
   * first record always goes in, and the longest body with base64 and such a plan still fits a message.
   */
  namesAnswerBytes: 2 * 1024 * 1024,
  /** What a gateway wraps a request in: whose it is. Masters take so much more than gateways do. */
  relayEnvelopeBytes: 1024,
  /** Small messages (join listener, probes): a CSR and addresses fit ten times. */
  messageBytesSmall: 64 * 1024,
  /** Nesting depth of JSON; our deepest message has 6. */
  jsonDepthMax: 32,
  /** Binary part: one full sealed chunk (4 MiB + 64 tags) and room for a batch of small ones. */
  binaryBytesMax: 8 * 1024 * 1024,
  /** Request line and headers of one request; ours are below 1 KiB. */
  headerBytesMax: 8 * 1024,

  // ---- connections
  /** Headers of a request must be complete by then; a slow-header attack holds a socket no longer. */
  headersTimeoutMs: 10 * second,
  /** A whole request must be received by then; 8 MiB at 128 KiB/s is 64 s. */
  requestTimeoutMs: 2 * minute,
  /** Idle keep-alive sockets are closed; clients open new ones in about 10 ms. */
  keepAliveTimeoutMs: 30 * second,
  /** Sockets of one listener; a hundred machines with ten each, and ten times that for attacks to bounce off. */
  connectionsMax: 2_000,
  /** Bodies being received or sent at once on one listener; times binaryBytesMax it bounds the memory of a node. */
  requestsInFlightMax: 64,
  /** Unanswered requests of one socket: our transport sends one, and one socket must not fill the listener. */
  requestsPipelinedMax: 8,
  /** Bytes of bodies held at once by one listener, received or on their way out: 30 full chunks and more. */
  bodyBytesHeldMax: 256 * 1024 * 1024,
  /** An answer must have left by then; a client that never reads holds memory no longer. */
  answerTimeoutMs: 2 * minute,
  /** A request that is refused before its body came is read on for so long, so that the refusal is not lost. */
  lingerMs: second,
  /** Requests a second from one address on the join listener, with a burst of ten times that. */
  joinRequestsPerSecond: 10,
  /** Connecting, with the TLS handshake. */
  connectTimeoutMs: 5 * second,
  /** Connections from one process to one address; transfers run at most this wide to one node. */
  connectionsPerPeer: 8,
  /** Destinations one process keeps connections to; more than any network of ours has members to dial. */
  peersDialledMax: 2_000,

  // ---- deadlines of calls
  /** A request that only reads or writes the registry and small messages. */
  callTimeoutMs: 15 * second,
  /** A chunk there or back: 4 MiB at 128 KiB/s, plus fsync. */
  chunkTimeoutMs: 60 * second,
  /** Small orders and words between roles, which are answered at once; probes wait longer, see model/timing.ts. */
  probeTimeoutMs: 2 * second,
  /** A gateway asks masters for so long altogether, less than a client waits; and one that hangs for so long. */
  relayMs: 14 * second,
  relayTryMs: 5 * second,
  /** Rounds of one call through all gateways: the pauses between them, jittered, are 1.6 to 3.1 s together. */
  attemptsMax: 6,
  retryBaseMs: 100,
  retryCeilingMs: 2 * second,

  // ---- put and get
  /** Chunks under way at once in one put or get; 4 × 4 MiB sealed + plaintext keeps the client below 100 MB. */
  chunksInFlight: 4,
  /** Without any progress for so long a transfer gives up: a node killed and back after 10 s is ridden out. */
  transferPatienceMs: 30 * second,
  /** First try of a chunk at one owner that is alive: its disk may hang. */
  chunkFirstTryMs: 20 * second,
  /**
   * A node that has not answered a transfer for so long is asked for a sign of life, which it has so long to give; then
   * another owner is tried beside it. Together 3 s, which a pause costs. Half would take a busy disk for a pause.
   */
  silenceMs: 1_500,
  silencePingMs: 1_500,
  /** An owner that failed or is silent is asked last for so long, so that not every chunk waits for it again. */
  ownerAvoidedMs: 15 * second,
  /** Plaintext of small files sealed in memory at once; two such batches are under way. */
  batchPlaintextMax: 16 * 1024 * 1024,
  /** Names whose newest sequence a client remembers to notice a rollback; about 100 bytes each on disk. */
  seenNamesMax: 10_000,
  /** Entries of one batch message (plan, store, commit, names). */
  batchEntriesMax: 1_000,
  /** Sealed bytes of one batch store; one message part. */
  batchBytesMax: 4 * 1024 * 1024 + 64 * 1024,
  /** Changes of one registry step: a script of 100 stays below 10 ms. */
  stepChangesMax: 100,
  /** Sealed manifest bodies; above 4 KiB they leave the registry when durable on nodes. */
  manifestBodyBytesMax: 2 * 1024 * 1024,
  manifestBodyBytesKept: 4 * 1024,
  /** A ticket's life; renewed at half of it. */
  ticketLifeMs: 60 * second,
  /** Open uploads older than this are closed. */
  uploadAgeMaxMs: 72 * hour,
  /** Chunks of one version: formats say below 2^31. */
  chunkIndexMax: 2 ** 31 - 1,
  /** Names of one page of a listing. */
  listPageMax: 1_000,
  /** Names a master takes from the registry at once for such a page: while they are pending they have whole bodies. */
  listStepMax: 250,
  /** Long bodies a master reads from nodes at once for one answer; the bytes of as many may be read in vain. */
  bodiesReadAtOnce: 8,
  /** Addresses of one member. */
  addressesMax: 8,

  // ---- the store of a node
  /**
   * Sealed bodies up to one full segment lie in the database, longer ones in files. Measured with fsync: 4 KiB 12 MB/s
   * inline and 4 as files, 64 KiB 89 and 61, 256 KiB 140 and 380; half would make files of what commits better in
   * groups, twice would write large bodies twice (WAL, then database).
   */
  storeInlineBytesMax: 64 * 1024 + 16,
  /** Parts of files up to four segments are read where rows are read; longer ones would hold up rows. */
  storeShortReadBytes: 4 * (64 * 1024 + 16),
  /** Calls that share one fsync, and their bytes: bounds how long a read waits behind a commit. */
  storeGroupCallsMax: 256,
  storeGroupBytesMax: 8 * 1024 * 1024,
  /** Written bytes after which the WAL is copied back; larger only slows opening and fills the disk. */
  storeCheckpointBytes: 8 * 1024 * 1024,
  /**
   * Disk kept free by puts so that deletions, promises and tombstones always find room: a 64th of the file system
   * within these bounds. 1,000 deletions dirty 16 MiB of pages at worst; the lower bound is for test disks of some MB.
   */
  storeReserveBytesMin: 256 * 1024,
  storeReserveBytesMax: 16 * 1024 * 1024,
  /** Chunk files written at once by one store: hides the wait for fsync, leaves threads of the pool to reads. */
  storeFileWritesInFlight: 3,
  /** Items of one page of a store's listing. */
  storePageMax: 10_000,
  /** Chunks of one version in one listing. */
  storeVersionPageMax: 65_536,
  /** One small state record of the role: a layout of 4,096 partitions × 3 owners is 25 KB. */
  storeStateBytesMax: 1024 * 1024,
  storeStateKeyLengthMax: 200,
  /** One sealed note: a header line with a column map of some thousand columns. */
  noteBytesMax: 1024 * 1024,
  /** Names of one question about a name between nodes, and of one look into the registry: bodies fit the answers. */
  traceNamesMax: 200,
  /** Manifests of one page of a sweep; 1 KiB each. */
  sweepPageManifests: 200,
  /** A sweep begins every so many served hours: it opens every manifest, 50 µs each. */
  sweepEveryHours: 4,
  /** Served hours from knowing that a version is dead to deleting its chunks: a day to notice a mistake. */
  deadHours: 24,
  /** Its manifest stays longer than an upload can be open (72 h), so that a chunk without one is no dead version's. */
  deadManifestHours: 24 + 72,
  /** Tombstones go at the latest then; a node that was away for 20 of these days is not trusted any more. */
  tombstoneHours: 30 * 24,
  /** Chunks without any manifest go after so long; an upload may be open for 3 of these 7 days. */
  orphanHours: 7 * 24,
  /** Evidence kept with a mark; a state record holds 1 MiB, base64 included. */
  evidenceBytesMax: 512 * 1024,
  /** Partitions compared by one question, and items of one answer about one of them. */
  digestPartitionsMax: 1_024,
  digestItemsMax: 10_000,
  /** Copies that a node remembers others to have missed: 5 MB; who missed more finds them by comparing. */
  owedCopiesMax: 20_000,
  /** Longest pause before an owner that has no use for what it missed is offered it again. */
  owedRestMaxMs: 30 * second,
  /** So long an owner that answers may have no use for a copy: comparing has had its turn by then. */
  owedRefusedMaxMs: 2 * minute,
  /** Bytes of manifests that a master keeps for nodes that missed them, and how long: then nodes compare. */
  owedManifestBytes: 16 * 1024 * 1024,
  owedManifestAgeMs: 10 * minute,
  /** Items stored in this last time are not compared: their copies are on their way. */
  settleMs: minute,
  /** Partitions are compared this often, digestPartitionsMax at a time: all of them in a minute. */
  compareTickMs: 15 * second,
  /** Whether a sweep is due is asked this often. */
  sweepTickMs: minute,
  /** The scrub reads so much every so often, 4 MiB/s, besides keeping to the budget of background work. */
  scrubTickMs: second,
  scrubBytesPerRound: 4 * 1024 * 1024,
  /** A process that just began has better things to read. */
  scrubFirstMs: 10 * minute,
  /** A pass begins no sooner after the one before began, and the database itself is checked as often. */
  scrubPassMs: 24 * hour,
  /** The cursor is written this often; what is read twice after a crash is a minute's worth. */
  scrubSaveMs: minute,
  /** Rows up to which a store's tables are searched for damage at each open: about 100 ms at this number. */
  storeSearchRowsMax: 100_000,
  /** Another connection (a person with `sqlite3`) may hold the write lock for so long before `overloaded`. */
  storeBusyTimeoutMs: 2 * second,

  // ---- identity
  joinNonceLifeMs: minute,
  joinTokenLifeMs: hour,
  joinTokenLifeMaxMs: 30 * 24 * hour,
  /** DER of a certificate request or certificate; ours are below 600 bytes. */
  certificateBytesMax: 4 * 1024,
  /** Life of a member's certificate, and how far it is back-dated so that slow clocks accept it at once. */
  certificateLifeMs: 7 * 24 * hour,
  certificateBackdateMs: hour,
  /** Members a roster ever listed (entries are never removed); 66 bytes each, so that one stays below 1 MiB. */
  rosterMembersMax: 10_000,
  /** Rosters kept for a role that slept: one for each change of the set of gateways. */
  rosterWalkMax: 10_000,
  /** Versions one ticket covers. */
  ticketVersionsMax: 1_000,
  /** A ticket can still be renewed this long after it expired: a put that was interrupted goes on while it is open. */
  ticketRenewalGraceMs: 72 * hour,
  /** Nodes accept tickets within this offset of the masters' clock. */
  clockToleranceMs: 5 * second,
  /** A revocation reaches connected roles by then; roles poll the roster this often. */
  rosterPollMs: 2 * second,
  /** A client asks for key boxes and gateways this often; each answer says whether its roster is old. */
  profileFreshMs: hour,
  /** A change of the roster waits so long for members that must have it; a revocation is answered by then. */
  rosterSpreadMs: 5 * second,
  /** A node or sentinel without contact for so long answers strangers 503. */
  isolationMs: minute,
  /** A gap in the own loop this long restarts the count of isolation. */
  isolationGapMs: 5 * second,

  // ---- network keys
  /** A rotation: draft, then roster on a majority of the nodes, rosterSpreadMs each, and boxes for the rest. */
  rotateTimeoutMs: 30 * second,
  /** A gateway compares its key boxes with the registry's this often without cause. */
  keySyncMs: minute,
  /** Epochs of one listing; a rotation a day for two years. */
  epochsListed: 1_000,
  /** A node looks for manifests under older keys this often; they also come late, from masters that finish a change. */
  rewrapMs: 2 * second,
  /** Manifests rewrapped in one write, and the pause after it: some 3,000 a second, and little beside clients. */
  rewrapBatch: 100,
  rewrapPauseMs: 20,
  /** A gateway looks at all names again this often: a rebuild may put back older wraps after the walk. */
  nameWrapsMs: hour,

  // ---- cluster
  heartbeatMs: second,
  /** Roles announce their addresses this often; new masters and gateways are learned by then. */
  announceMs: 10 * second,
  /** Masters keep the list of members this long; addresses of nodes change only when they restart. */
  memberCacheMs: second,
  /** A node that does not say what it holds by then counts as holding nothing; a paused node must not stall commits. */
  holdTimeoutMs: 4 * second,
  /** Copies a node still sends after it answered; beyond that a store waits for all its copies. 4 MiB each. */
  lateCopiesMax: 8,
  /** So long such a store waits before it gives the copies up; a paused owner must not stop the puts of others. */
  lateCopyWaitMs: 2 * second,
  /** Lease of the leading master; another takes over after watching it unchanged for this long. */
  leaseMs: 5 * second,
  leaseRenewMs: second,
  /** A leader that hears no majority of the nodes for so long gives way; ten lost heartbeats are no busy moment. */
  leaderDeafMs: 10 * second,
  /** A node's capacity must change by this part before copies move for it: a disk that fills moves nothing. */
  capacityChangeMin: 0.05,
  /** An hour of the network's age: what deletion is counted in. */
  servedHourMs: hour,
  /** Kept answers of operations: a day covers any client that retries, double doubles the memory they take. */
  outcomeKeptMs: 24 * hour,
  /** Manifests that a node's index of names takes beyond twice those it was built with, 120 bytes each: 12 MB. */
  nameIndexSlack: 100_000,
  /** Joins and changes of capacity within this become one layout; so do losses, while another node is silent. */
  layoutGatherMs: second,
  /** Unretired layouts at once. */
  layoutsUnretiredMax: 4,
  /**
   * Groups of chunks, up to 4 MiB, that a node pulls at once after a layout change: one comes while another is written.
   * Four are slower where nodes share a disk, because their fsyncs wait for each other.
   */
  pullsInFlight: 2,
  /** Entries of one page that a node lists at another: 150 bytes each, a third of a message. */
  pullPageChunks: 5_000,
  /** Listed chunks held in memory at once by one that pulls, about 300 bytes each; 20,000 full ones are 80 GB. */
  pullWindowChunks: 20_000,
  /**
   * Background bytes a second (pulled, given, scrubbed) while clients are served. With twice as many one read in a
   * hundred took three times as long beside a repair on a machine of two processors; half would double the time of a
   * repair beside clients, a minute and a half a GiB for three nodes.
   */
  backgroundBytesPerSecond: 8 * 1024 * 1024,
  /**
   * Background work beside clients goes in steps of this: 2 ms of one processor, while a full chunk keeps two for 20,
   * and with them every read. Half would cost as much for requests as for bytes, twice is felt by reads.
   */
  backgroundPieceBytes: 512 * 1024,
  /** Clients count as served until so long after their last request. */
  backgroundQuietMs: second,
  /** A former owner looks for what it may drop this often; nothing waits for it. */
  formerTickMs: 10 * second,
  /** The identity folder learns the store's write counter this often; masters learn it with each heartbeat. */
  witnessSaveMs: minute,
  /** Served hours away after which a node's store counts for nothing: 20 of the 30 days that tombstones live. */
  awayHoursMax: 20 * 24,
  /** A leader's word that deleting is safe counts for so long; ten heartbeats. */
  mayDeleteMs: 10 * second,
  /** Manifests a node reads at once when it lists them as evidence; their bodies are in memory meanwhile. */
  evidencePageManifests: 500,
  /** Partitions listed together in a rebuild: 16,000 of a million names, about 10 MB with their bodies. */
  rebuildPartitions: 64,
  /** The leader compares the registry with what nodes know this often. */
  lifeTickMs: 500,
  /** An empty registry is made again after it was found empty for so long: a file is also missing while it is moved. */
  registryLostMs: 2 * second,
  /** Once the view is covered, a rebuild waits for silent nodes so long: they may know what nobody else was told. */
  rebuildPatienceMs: 10 * second,
  /**
   * A registry that is further behind the nodes is forgotten: they may have no trace of what ended. That lives 24 h.
   */
  registryBehindMaxMs: hour,
  /** Pending manifests are finished by a timer if no reader met them. */
  pendingSweepMs: 2 * second,
  probeIntervalMs: second,
  /**
   * Probes to one member under way at once: one that is lost must not make the member silent. With two, a line that
   * loses one message in ten took a node down every few minutes; each more is a connection to a member that hangs.
   */
  probesInFlight: 4,
  /** The leader looks at dead and returned nodes this often. */
  verdictTickMs: second,
  /** A leader whose verdicts paused for longer starts all graces anew: it slept, and proved nothing meanwhile. */
  verdictGapMs: 5 * second,
  /** A node that was out must be heard for so long before it is up: two heartbeats and a probe. */
  returnMs: 2 * second,
  /** Part of the nodes that may be gone before the leader moves copies no more by itself; one always may. */
  goneShareMax: 0.25,
  /** A node that was down this often within the window flaps: each time its copies would move away and back. */
  flapDownsMax: 5,
  flapWindowMs: 10 * minute,
  /** Where the doubling of quarantines ends. */
  quarantineMaxMs: hour,
  /** Quarantines longer ago than this are forgiven. */
  quarantineMemoryMs: 24 * hour,
  /** A sentinel compares its opinions with the registry this often; half a probe, so that it adds little delay. */
  sentinelRoundMs: 500,
  /** Another sentinel that does not say its opinion by then abstains; it needs no registry and no disk for it. */
  opinionTimeoutMs: second,
  /** A sentinel whose own loop stood still for longer abstains for a probe's interval; it wakes this often for it. */
  sentinelLagMs: 500,
  sentinelTickMs: 200,

  ...starLimits,
} as const;

/** Relations that must hold between limits; called once at start, throws `internal` naming the broken one. */
export const assertLimits = (): void => {
  const relations: readonly (readonly [string, boolean])[] = [
    ['a full sealed chunk fits a binary part', 4 * 1024 * 1024 + 64 * 16 <= limits.binaryBytesMax],
    ['a batch fits a binary part', limits.batchBytesMax <= limits.binaryBytesMax],
    ['a lease is renewed at least three times in its life', limits.leaseRenewMs * 3 <= limits.leaseMs],
    ['a gateway gives up on masters before its client does', limits.relayMs < limits.callTimeoutMs],
    ['a gateway can ask two masters', limits.relayTryMs * 2 <= limits.relayMs],
    ['a put can be resumed as long as its upload is open', limits.ticketRenewalGraceMs >= limits.uploadAgeMaxMs],
    ['a ticket outlives a chunk transfer', limits.ticketLifeMs >= limits.chunkTimeoutMs],
    ['roster polls beat the promise of 5 s', limits.rosterPollMs * 2 < 5 * second],
    ['small messages are smaller', limits.messageBytesSmall < limits.messageBytesMax],
    [
      'the longest body fits an answer beside a plan',
      Math.ceil(limits.manifestBodyBytesMax / 3) * 4 + 512 * 1024 <= limits.messageBytesMax,
    ],
    [
      'a snapshot of catalogues fits an answer beside plan and tickets',
      limits.catalogueListBytes + 1024 * 1024 <= limits.messageBytesMax,
    ],
    [
      'a change of catalogues is acknowledged when every snapshot without it has ended',
      limits.catalogueSettleMs >= 1.2 * limits.snapshotGoodMs,
    ],
    ['a kept body fits a manifest', limits.manifestBodyBytesKept <= limits.manifestBodyBytesMax],
  ];
  for (const [relation, holds] of relations) {
    if (!holds) throw new OperaError('internal', `limits: broken relation: ${relation}`);
  }
};
