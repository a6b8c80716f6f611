// Who may import whom: the table of rooms, and the one room of each package. Data, read by imports.test.ts.
// A change here is a change of the architecture: say why in docs/decisions/.

/** Folder below src → folders or files it may import besides itself. `types:` before a name admits types only. */
export const mayImport: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  model: ['errors'],
  runtime: ['errors'],
  crypto: ['model', 'errors', 'types:runtime'],
  index: ['model', 'errors'],
  // Layouts are signed records with a hash: digests and signatures, nothing that opens data.
  placement: ['model', 'errors', 'crypto/digest.ts', 'crypto/signature.ts'],
  identity: ['crypto', 'model', 'errors', 'runtime'],
  'storage-adapters': ['model', 'index', 'errors', 'runtime'],
  registry: ['model', 'errors', 'runtime', 'types:crypto/digest.ts', 'types:crypto/signature.ts'],
  wire: ['identity', 'crypto', 'model', 'errors'],
  client: ['wire', 'identity', 'crypto', 'placement', 'index', 'model', 'errors', 'runtime'],
  // Files directly in roles/ serve every role; roles/X may import them, and never roles/Y.
  roles: [
    'client',
    'wire',
    'identity',
    'crypto',
    'placement',
    'index',
    'storage-adapters/storage-adapter.ts',
    // The contract, and types that it is made of.
    'registry/registry.ts',
    'registry/epoch-records.ts',
    'registry/restore.ts',
    'registry/tokens.ts',
    'model',
    'errors',
    'runtime',
  ],
  config: ['model', 'errors'],
  commands: [
    'client',
    'config',
    'crypto',
    'errors',
    'identity',
    'index',
    'model',
    'placement',
    'registry',
    'roles',
    'runtime',
    'storage-adapters',
    'wire',
  ],
};

/** Files outside the rooms: what runs the bundle, what starts the program, what starts a thread. */
export const entries: Readonly<Record<string, readonly string[]>> = {
  'src/launch.ts': [],
  'src/main.ts': ['commands/_front.ts', 'runtime', 'worker.ts'],
  'src/worker.ts': [
    'runtime',
    'client/_check-service.ts',
    'commands/_inspect-service.ts',
    'registry/_sqlite-service.ts',
    'roles/node/index-service.ts',
    'storage-adapters/_sqlite-service.ts',
  ],
};

/** Package → folders or files below src that may import it. Node's own modules are free. */
export const packageRooms: Readonly<Record<string, readonly string[]>> = {
  citty: ['commands'],
  h3: ['roles'],
  srvx: ['roles'],
  'prom-client': ['roles'],
  '@noble/ciphers': ['crypto'],
  '@noble/hashes': ['crypto'],
  '@peculiar/x509': ['identity'],
  'reflect-metadata': ['identity'],
  valibot: ['wire', 'config', 'client', 'roles', 'commands'],
  ioredis: ['registry'],
  'better-sqlite3': ['runtime/sqlite.ts'],
  undici: ['client'],
};

/** Packages of tests and benchmarks only. */
export const testPackages: readonly string[] = ['fast-check', 'esbuild'];
