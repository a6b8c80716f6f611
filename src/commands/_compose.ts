// The composition root: the only place that names concrete adapters. It turns settings into seams (registry, storage,
// transport) and starts one role of them: context, listeners, loops. Everything else receives interfaces.
import { setMaxListeners } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type OpenHome, openHome } from '../client/home.ts';
import { HttpTransport } from '../client/http-transport.ts';
import type { Handlers, Peer } from '../client/transport.ts';
import { OperaError } from '../errors/errors.ts';
import { type Identity, tlsMaterial } from '../identity/identity-folder.ts';
import { bytesToHex } from '../model/ids.ts';
import type { Registry } from '../registry/registry.ts';
import { RedisRegistry } from '../registry/redis.ts';
import { SqliteRegistry } from '../registry/sqlite.ts';
import type { RoleContext } from '../roles/context.ts';
import { Listener } from '../roles/listener.ts';
import { RoleMetrics } from '../roles/metrics.ts';
import {
  type Distrust,
  formatWitness,
  judgeOpening,
  parseWitness,
  type SoundnessOptions,
  type StoreWitness,
} from '../roles/node/soundness.ts';
import { type Clock, SystemClock } from '../runtime/clock.ts';
import { systemErrorCode, writeFileDurably } from '../runtime/files.ts';
import { type Logger, createLogger } from '../runtime/log.ts';
import { type Random, SystemRandom } from '../runtime/random.ts';
import { openStorage } from '../storage-adapters/load.ts';
import type { StorageAdapter } from '../storage-adapters/storage-adapter.ts';
import type { ListenerKind } from '../wire/routes.ts';
import type { HostPort } from '../identity/address.ts';

export interface Seams {
  readonly clock: Clock;
  readonly random: Random;
}

export const systemSeams = (): Seams => ({ clock: new SystemClock(), random: new SystemRandom() });

/** True for a registry that is named by URL; anything else is a file. */
export const isRedisUrl = (spec: string): boolean => /^(rediss?|redis\+sentinel|unix):/.test(spec);

/**
 * A registry by URL (Redis) or path (SQLite); nothing is contacted yet. `warn` is told how a server is ill set up.
 * Throws `config` for any other URL: a slip of the pen would become a file of that name.
 */
export const createRegistry = (spec: string, { clock, random }: Seams, warn: (sentence: string) => void): Registry => {
  if (isRedisUrl(spec)) return new RedisRegistry({ url: spec, clock, random, warn });
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(spec)?.[0];
  if (scheme === undefined) return new SqliteRegistry({ path: spec, clock });
  throw new OperaError('config', `a registry is not reached by ${scheme}…`, {
    hint: 'Name a path, or a URL that begins with redis://, rediss://, redis+sentinel:// or unix:',
  });
};

/** A started role context with what only the composition root changes. */
export interface ComposedRole {
  readonly context: RoleContext;
  readonly open: OpenHome;
  /** Takes a renewed certificate: listeners and new connections use it from now on. */
  readonly useIdentity: (identity: Identity) => Promise<void>;
  readonly listen: (options: {
    readonly kind: ListenerKind;
    readonly at: HostPort;
    readonly handlers: Handlers;
    readonly notReady: () => string | undefined;
    readonly admit?: (peer: Peer) => void;
  }) => Promise<Listener>;
  /** Aborts context.stopping, drains listeners, closes the transport. */
  readonly stop: (drainMs: number) => Promise<void>;
}

/** Log lines go to stderr: under `up` that is the role's log file. */
export const createRoleLog = (role: string, clock: Clock, debug: boolean): Logger =>
  createLogger({ role, clock, level: debug ? 'debug' : 'info', write: (line) => process.stderr.write(line) });

const addGauges = ({ metrics, rosters, identity }: RoleContext): void => {
  metrics.gauge('opera_roster_number', 'Number of the roster held.', () => Number(rosters.roster.number));
  metrics.gauge(
    'opera_certificate_expires_timestamp_seconds',
    'When the certificate in use ends, in seconds since 1970.',
    () => identity().claims.notAfterMs / 1_000,
  );
};

export const composeRole = async (home: string, log: Logger, { clock, random }: Seams): Promise<ComposedRole> => {
  const open = await openHome(home);
  const { rosters } = open;
  const { networkId, role, memberId } = open.identity;
  const stopping = new AbortController();
  // Every loop and every call of the role listens to it; Node warns of more than ten.
  setMaxListeners(0, stopping.signal);
  const listeners: Listener[] = [];
  let identity = open.identity;
  const transport = new HttpTransport({
    networkId,
    credentials: () => tlsMaterial(identity),
    roster: () => rosters.roster,
    nowMs: () => clock.nowMs(),
  });
  const context: RoleContext = {
    networkId,
    role,
    memberId,
    identity: () => identity,
    rosters,
    transport,
    clock,
    random,
    log: log.with({ member: memberId }),
    metrics: new RoleMetrics(role, clock),
    instance: bytesToHex(random.bytes(16)),
    stopping: stopping.signal,
  };
  addGauges(context);
  rosters.onChange((roster) => {
    const dropped = listeners.reduce((total, listener) => total + listener.dropRevoked(), 0);
    context.log.info('roster-taken', { number: roster.number, dropped });
    void transport.dropRevoked();
  });
  return {
    context,
    open,
    useIdentity: async (next) => {
      identity = next;
      for (const listener of listeners) listener.updateCredentials();
      await transport.reconnect();
      context.log.info('certificate-renewed', { expires: next.claims.notAfterMs });
    },
    listen: async ({ kind, at, handlers, notReady, admit }) => {
      const listener = await Listener.start({
        kind,
        role,
        networkId,
        listen: at,
        credentials: () => tlsMaterial(identity),
        roster: () => rosters.roster,
        handlers,
        notReady,
        ...(admit ? { admit } : {}),
        metrics: context.metrics,
        clock,
        random,
        log: context.log,
      });
      listeners.push(listener);
      return listener;
    },
    stop: async (drainMs) => {
      await Promise.all(listeners.map((listener) => listener.close(drainMs)));
      stopping.abort();
      await transport.close();
    },
  };
};

/** Opens a node's store under a fresh id; the witness says whether it is the store this node had before. */
export const openNodeStorage = async (
  spec: string,
  folder: string,
  identityFolder: string,
  { clock, random }: Seams,
): Promise<{
  readonly storage: StorageAdapter;
  readonly witness: SoundnessOptions;
  readonly distrust: Distrust | undefined;
  /** What was wrong with the store that was moved aside; undefined when none was. */
  readonly damage: string | undefined;
}> => {
  const { storage, opening, damage } = await openStorage(spec, { folder, nowMs: () => clock.nowMs() });
  const path = join(identityFolder, 'store.json');
  const before = await readFile(path, 'utf8').then(parseWitness, (error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw new OperaError('config', `${path} cannot be read`, { cause: error });
  });
  const storeId = bytesToHex(random.bytes(16));
  const highestSequence = await storage.highestSequence();
  const { witness, distrust } = judgeOpening(before, { ...opening, highestSequence }, storeId);
  const save = (next: StoreWitness): Promise<void> => writeFileDurably(path, formatWitness(next), 0o600);
  // The identity remembers both ids, so that a crash between the two writes does not make the store a stranger.
  await save(witness);
  await storage.adoptStoreId(storeId);
  return { storage, witness: { witness, save }, distrust, damage };
};
