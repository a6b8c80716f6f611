// Limits of catalogues, indexes and queries: a part of the table in limits.ts, by which they are used.

const second = 1_000;
const minute = 60 * second;

export const starLimits = {
  /** A catalogue's chunk, and so its longest record: 64 segments of 64 KiB, as every full chunk (design, section 2). */
  catalogueChunkBytesMax: 4 * 1024 * 1024,
  /** Records of one chunk: ordinals fit 16 bits, and what a node keeps in memory while it indexes one is bounded. */
  catalogueChunkRecordsMax: 65_536,
  /** Characters of one text of a record (name, spectral type); SIMBAD's longest have 60, and every name is indexed. */
  catalogueTextMax: 256,
  /** Names of one system: the longest list of SIMBAD has about 150, and each is an entry of the index. */
  catalogueNamesMax: 200,
  /** Cells of sky or space that one predicate is covered with, 0.2 ms; half would let half as many again be tested. */
  queryCellsMax: 512,
  /** A put reads the records of smaller files itself, 40 ms at most: about what it takes to start a thread. */
  catalogueCheckInlineBytesMax: 512 * 1024,
  /** Faults of a put's records that its result carries; all of them go to a report. */
  catalogueFaultsKept: 100,
  /** A put asks nodes how far their indexes are, after pauses that grow from the first to the second. */
  indexPollMs: 25,
  indexPollMaxMs: second,
  /** Without any progress of the indexes for so long a put says that its records cannot be queried yet. */
  indexPatienceMs: minute,
  /** Characters of what a heartbeat says is wrong with an index: a line of a status. */
  indexTroubleMax: 200,
  /** Characters, terms and depth of one query: people write 100 and 5; more is generated, and work grows with them. */
  queryLengthMax: 8 * 1024,
  queryTermsMax: 500,
  queryDepthMax: 32,
  /** Catalogues that one query asks about; a snapshot names each in 150 bytes: 3 MB. */
  cataloguesMax: 20_000,
  /** Bytes of the catalogues in one snapshot: it is one step and one answer, with plan and tickets beside it. */
  catalogueListBytes: 3 * 1024 * 1024,
  /** For so long after it was asked for, questions of one session share a snapshot; dozens of them in a row. */
  snapshotGoodMs: 100,
  /** A change of catalogues is acknowledged so long after its step: longer, for clocks that do not run alike. */
  catalogueSettleMs: 125,
  /** Bytes of a query in its parsed form: a bound tree of queryTermsMax terms. */
  queryBytesMax: 256 * 1024,
  /** Opened segments of 64 KiB that searches keep in memory: 64 MiB, a million records. Half costs 2 ms a cone. */
  indexSegmentsKept: 1_024,
  /** Opened pages of the index kept: some 8,000, or fewer where a code is that of most records. */
  indexPageBytesKept: 32 * 1024 * 1024,
  /** Facts and directories of indexed chunks kept, 4 to 9 KiB each: those of some 30 GiB of catalogues. */
  indexRunBytesKept: 64 * 1024 * 1024,
  /** Keys and columns of catalogues kept, 3 KiB each: when a question is about more, none is found there again. */
  indexCatalogueBytesKept: 16 * 1024 * 1024,
  /** Queries of one node at once; the others wait. One that is not gone on with for so long is forgotten. */
  searchesMax: 64,
  searchIdleMs: 60_000,
  /** Chunks that could not be indexed are tried again this often. */
  indexRoundMs: 60_000,
  /** Rows that a query sorts and returns at once: 10,000 records of 1 KiB are 10 MB in the client. */
  queryRowsMax: 10_000,
  /** Nodes that one query waits for at once; more would only queue in the client. */
  queriesInFlight: 16,
  /** What nobody vouches for is asked again for so long when an answer without it will do; a sixth of a get's. */
  queryPartialPatienceMs: 5 * second,
  /** Stars of one query that are looked up before it runs; each is a question of its own. */
  queryStarsMax: 16,
  /** Groups or bins of one answer; beyond, the question was about another field. */
  queryGroupsMax: 10_000,
} as const;
