// Every key the registry has in Redis, and the names of the public ones anywhere. Nothing else spells a key.
// The first four are the public schema other programs read (design, section 9); the rest is ours and may change.
// Names and addresses stand at the end of a key, so that no user text can be taken for another part of it.

/** The four public keys: LISTs in Redis; SQLite shows the same as views (see _sqlite-schema.ts). */
export const publicKeys = {
  nodes: 'network:nodes',
  data: 'network:data',
  dataOfNode: (address: string): string => `network:data:node:${address}`,
  nodesOfFile: (name: string): string => `network:data:file:${name}`,
} as const;

/** Matches every public key but `network:nodes`; constant, because user text never goes into a pattern. */
export const publicDataPattern = 'network:data*';

/**
 * Keys as the scripts know them (`K.life`, …). A value that ends in a colon is the beginning of keys: the scripts
 * append a name, an address or an id.
 */
export const redisKeys = {
  nodes: publicKeys.nodes,
  data: publicKeys.data,
  dataOfNode: publicKeys.dataOfNode(''),
  nodesOfFile: publicKeys.nodesOfFile(''),
  /** Hash name → index in `network:data`, and in the list of one node, for removal without a search. */
  indexOfData: 'network:index:data',
  indexOfNode: 'network:index:node:',
  /**
   * Hash: network_id, incarnation, raised_under, sequence, key_epoch, layout, retired, lease_epoch, placements, and of
   * rebuilds of these how many began and which one is under way: rebuilds, rebuilding.
   */
  life: 'network:life',
  /** Hash: number, hash, record. */
  roster: 'network:roster',
  /** Hash: roster number → record. */
  keptRosters: 'network:rosters',
  /** Hashes member id → JSON; → JSON of state, since, reason; → first address of nodes that are not removed. */
  members: 'network:members',
  memberStates: 'network:members:state',
  memberAddresses: 'network:members:address',
  /** Set of recipients, and a hash `kind:epoch` → record for each. */
  boxRecipients: 'network:boxes',
  boxesOf: 'network:boxes:',
  /** Hash: epoch → record. */
  chain: 'network:chain',
  /** Hash: token id → JSON; and per token the list of keys that took it. */
  tokens: 'network:tokens',
  tokenUses: 'network:token:uses:',
  /** Hash: epoch, renewal, holder, instance, address, released. */
  lease: 'network:lease',
  /** Hash: layout number → record. */
  layouts: 'network:layouts',
  /** Sorted set version → opened (ms), and hash version → name. */
  uploads: 'network:uploads',
  uploadNames: 'network:uploads:name',
  /** Sorted set of all names, score 0, for pages by prefix; and a hash per name. */
  names: 'network:names',
  name: 'network:name:',
  /** Sorted set of the names that are catalogues, score 0, for the snapshot of a query. */
  catalogues: 'network:catalogues',
  /** Sorted set of pending sequences, hash name → newest pending sequence, and a hash per change. */
  pending: 'network:pending',
  pendingOf: 'network:pending:names',
  pendingChange: 'network:pending:change:',
  /** Text per operation id, gone after 24 h. */
  outcome: 'network:outcome:',
  /** Set of names that were moved by renames while the placements are rebuilt. */
  placementsLate: 'network:placements:late',
  /** Pattern of every key of ours; constant. */
  everything: 'network:*',
  /** Stream of cluster events. */
  events: 'network:events',
} as const;
