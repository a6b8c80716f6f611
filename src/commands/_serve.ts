// Running one role as a process: join if it has not, compose it, listen, say that it is ready, end on SIGTERM.
// The verbs gateway, master, sentinel and node are thin declarations over this.
import { dirname, join } from 'node:path';
import { enterHome, mergeAddresses } from '../client/home.ts';
import { joinNetwork } from '../client/join-network.ts';
import { identityFolderOf, readProfile, writeProfile } from '../client/profile.ts';
import { keepRenewal, renewCertificate, runRenewal } from '../client/renewal.ts';
import type { Config } from '../config/config.ts';
import { isOperaError, OperaError } from '../errors/errors.ts';
import { type Identity, prepareIdentity } from '../identity/identity-folder.ts';
import { parseJoinCode } from '../identity/join-code.ts';
import { assertLimits } from '../model/limits.ts';
import { type Timing, timingOf } from '../model/timing.ts';
import type { Role } from '../model/roles.ts';
import type { Registry } from '../registry/registry.ts';
import { createMaster } from '../roles/master/app.ts';
import { createNode } from '../roles/node/app.ts';
import { MemoryIndex, ThreadIndex } from '../roles/node/index-engine.ts';
import { type KnownPeers, PeerBook } from '../roles/peer-book.ts';
import { createSentinel } from '../roles/sentinel/app.ts';
import { growHeapFreely } from '../runtime/heap.ts';
import { createSecretFolder } from '../runtime/files.ts';
import { errorFacts } from '../runtime/log.ts';
import { formatHostPort } from '../identity/address.ts';
import { chooseAddresses, type RoleAddresses } from './_addresses.ts';
import {
  type ComposedRole,
  composeRole,
  createRegistry,
  createRoleLog,
  openNodeStorage,
  systemSeams,
} from './_compose.ts';
import { readJoinCode } from './_join-code.ts';
import type { Output } from './_output.ts';
import { startGateway } from './_gateway.ts';
import type { StartedRole } from './_started-role.ts';

/** Requests that are under way when a role is told to end get this long. */
const drainMs = 5_000;
/** A registry file answers within milliseconds; so long a Redis may take to say that it is none to be used. */
const registryAnswerMs = 2_000;

export interface ServeOptions {
  readonly role: Role;
  readonly config: Config;
  readonly io: Output;
  readonly signal: AbortSignal;
  /** A join code, or a file that holds one (`-`: stdin). */
  readonly join: string | undefined;
  readonly joinFile: string | undefined;
  readonly joinListen: string | undefined;
  /** Folder of keys; `identity` in the home when not given. */
  readonly identity: string | undefined;
}

type StartOptions = ServeOptions & { readonly timing: Timing };

/** Joins when the home is empty and a code was given; answers nothing: the home says it all. */
const joinIfNew = async (options: ServeOptions, home: string, code: string | undefined): Promise<RoleAddresses> => {
  const { role, config, signal } = options;
  const profile = await readProfile(home);
  const gateway = code === undefined ? profile?.gateways[0] : formatHostPort(parseJoinCode(code).gateway);
  if (!profile && code === undefined) {
    throw new OperaError('config', `${home} has not joined a network`, {
      hint: `Make a code with \`opera token create --role ${role}\` and pass it with --join.`,
    });
  }
  await createSecretFolder(home);
  const addresses = await chooseAddresses(home, {
    listen: config.listen,
    joinListen: options.joinListen,
    advertise: config.advertise,
    joins: role === 'gateway',
    gateway,
    zone: config.zone,
    capacityBytes: config.capacity,
  });
  if (profile && profile.role !== role) {
    const article = profile.role === 'operator' ? 'an' : 'a';
    throw new OperaError('config', `${home} is the home of ${article} ${profile.role}, not of a ${role}`, {
      hint: `Name the home of a ${role} with --home`,
    });
  }
  const identityFolder = options.identity ?? (profile ? identityFolderOf(home, profile) : join(home, 'identity'));
  if (!profile && code !== undefined) {
    const { clock } = systemSeams();
    const keys = await prepareIdentity(identityFolder);
    const joined = await joinNetwork({ code, role, keys, addresses: [addresses.advertised], clock, signal });
    await enterHome({ home, identityFolder, keys, joined });
  }
  return addresses;
};

const registryOf = (options: ServeOptions, { context, open }: ComposedRole): Registry =>
  createRegistry(options.config.registry ?? join(dirname(open.home), 'registry.db'), systemSeams(), (message) =>
    context.log.warn('registry-ill-set-up', { message }),
  );

/** Keeps what was learned of others in the profile, for the next start. */
const keepPeers = async (home: string, known: KnownPeers): Promise<void> => {
  const profile = await readProfile(home);
  if (!profile || known.gateways.length === 0) return;
  const next = {
    ...profile,
    gateways: mergeAddresses(known.gateways),
    masters: mergeAddresses(known.masters),
    joinAddresses: known.joinAddresses.length > 0 ? mergeAddresses(known.joinAddresses) : profile.joinAddresses,
  };
  if (JSON.stringify(next) !== JSON.stringify(profile)) await writeProfile(home, next);
};

const bookOf = (composed: ComposedRole, addresses: RoleAddresses): PeerBook => {
  const { context, open } = composed;
  return new PeerBook(context, {
    gateways: open.profile.gateways,
    self: () => ({ addresses: [addresses.advertised], zone: addresses.zone, capacityBytes: addresses.capacityBytes }),
    keys: open.keys,
    onPeers: (known) => {
      keepPeers(open.home, known).catch((error: unknown) => context.log.warn('profile-unwritten', errorFacts(error)));
    },
    onStrangers: async () => composed.useIdentity(await renewByKey(composed)),
  });
};

const startNode = async (
  composed: ComposedRole,
  options: ServeOptions,
  addresses: RoleAddresses,
): Promise<StartedRole> => {
  const { context, open } = composed;
  const spec = options.config.storage ?? 'sqlite';
  const opened = await openNodeStorage(spec, open.home, open.identityFolder, systemSeams());
  const { storage, witness, distrust, damage } = opened;
  if (damage) context.log.error('store-set-aside', { storage: spec, damage });
  if (distrust) context.log.warn('store-unknown', { storage: spec, why: distrust });
  // It counts as a copy all the same: who chose such a store must find it said.
  if (!storage.durable) context.log.warn('store-not-durable', { storage: spec });
  const book = bookOf(composed, addresses);
  const { storeId } = witness.witness;
  // A store of somebody else's may keep nothing in the folder; the index does whenever there is something to keep.
  const index = spec === 'memory' ? new MemoryIndex() : new ThreadIndex(open.home);
  const node = await createNode(context, { storage, index, keys: open.keys, book, storeId, witness });
  return { ...node, end: () => storage.close() };
};

const startMaster = (
  composed: ComposedRole,
  options: StartOptions,
  addresses: RoleAddresses,
  registry: Registry,
): StartedRole => {
  const book = bookOf(composed, addresses);
  const master = createMaster(composed.context, {
    ...{ registry, book, timing: options.timing },
    address: () => addresses.advertised,
  });
  const end = async (): Promise<void> => {
    await master.resign();
    await registry.close();
  };
  return { ...master, end };
};

const startSentinel = (
  composed: ComposedRole,
  options: StartOptions,
  addresses: RoleAddresses,
  registry: Registry,
): StartedRole => {
  const book = bookOf(composed, addresses);
  const sentinel = createSentinel(composed.context, { registry, timing: options.timing });
  return {
    handlers: sentinel.handlers,
    notReady: () => sentinel.notReady(),
    run: async () => {
      await Promise.all([book.run(), sentinel.start()]);
    },
    end: () => registry.close(),
  };
};

/** Throws when the registry is one that this program can never use; one that is away is not waited for. */
const assertUsable = async (registry: Registry, { context }: ComposedRole): Promise<void> => {
  const asked = registry.readLife().then(
    () => undefined,
    (error: unknown) => error,
  );
  const answer = await Promise.race([asked, context.clock.sleep(registryAnswerMs)]);
  if (!isOperaError(answer, 'config')) return;
  await registry.close();
  throw answer;
};

const startRole = async (
  composed: ComposedRole,
  options: StartOptions,
  addresses: RoleAddresses,
): Promise<StartedRole> => {
  if (options.role === 'node') return startNode(composed, options, addresses);
  const registry = registryOf(options, composed);
  await assertUsable(registry, composed);
  if (options.role === 'master') return startMaster(composed, options, addresses, registry);
  if (options.role === 'sentinel') return startSentinel(composed, options, addresses, registry);
  return startGateway(composed, addresses, registry);
};

/** Aborts with the user's signal, or when the process that started this one as its own is gone. */
const endOf = (signal: AbortSignal): AbortSignal => {
  if (!process.channel) return signal;
  const orphaned = new AbortController();
  process.once('disconnect', () => orphaned.abort());
  process.channel.unref();
  return AbortSignal.any([signal, orphaned.signal]);
};

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

/** Runs the role until the signal aborts. Resolves when everything is closed. */
export const serveRole = async (options: ServeOptions): Promise<void> => {
  assertLimits();
  const { role, config, io } = options;
  if (role === 'node') growHeapFreely();
  // A wrong preset is told before a join code is used up.
  const timing = timingOf(config.timing);
  const signal = endOf(options.signal);
  const home = config.home;
  const seams = systemSeams();
  const code = await readJoinCode({ code: options.join, file: options.joinFile, stdin: () => io.stdin });
  const addresses = await joinIfNew(options, home, code);
  const composed = await composeRole(home, createRoleLog(role, seams.clock, config.debug), seams);
  const { context, open } = composed;
  const started = await startRole(composed, { ...options, timing }, addresses);
  const renew = started.renew ?? (() => renewByKey(composed));
  await renewIfExpired(composed, renew);
  const { handlers, notReady, admit } = started;
  await composed.listen({ kind: 'mesh', at: addresses.listen, handlers, notReady, ...(admit ? { admit } : {}) });
  if (addresses.joinListen && started.joinHandlers) {
    await composed.listen({ kind: 'join', at: addresses.joinListen, handlers: started.joinHandlers, notReady });
  }
  const loops = Promise.all([started.run(), runRenewals(composed, renew)]);
  loops.catch((error: unknown) => context.log.error('loop-ended', errorFacts(error)));
  await waitUntilReady(composed, notReady, signal);
  const facts = {
    role,
    id: context.memberId,
    network: context.networkId,
    address: addresses.advertised,
    ...(addresses.joinAdvertised ? { join: addresses.joinAdvertised } : {}),
    pid: process.pid,
    home: open.home,
  };
  if (!signal.aborted) {
    await io.document(facts, { lines: [`ready: ${role} ${context.memberId} at ${addresses.advertised}`] });
    await io.flush();
  }
  await aborted(signal);
  context.log.info('stopping');
  await composed.stop(drainMs);
  await started.end();
};

/** Waits for the role to be ready; the ready line promises that it can work. */
const waitUntilReady = async (
  { context }: ComposedRole,
  notReady: () => string | undefined,
  signal: AbortSignal,
): Promise<void> => {
  // A node without any layout has done its part: the layout comes when the master has gathered the joins.
  const reason = (): string | undefined => (context.role === 'node' ? undefined : notReady());
  while (!signal.aborted && reason() !== undefined) {
    await context.clock.sleep(20, { signal }).catch(() => undefined);
  }
};

const renewByKey = async (composed: ComposedRole): Promise<Identity> => {
  const { context, open } = composed;
  const identity = context.identity();
  // Read anew: gateways may have moved since the role started.
  const { joinAddresses } = (await readProfile(open.home)) ?? open.profile;
  const options = { identity, joinAddresses, clock: context.clock };
  const admission = await renewCertificate({ ...options, signal: context.stopping });
  const { identityFolder, rosters, keys } = open;
  return keepRenewal({ identityFolder, rosters, keys }, identity, admission);
};

/** A machine that was off for longer than its certificate lived comes back by its key. */
const renewIfExpired = async (composed: ComposedRole, renew: () => Promise<Identity>): Promise<void> => {
  const { context } = composed;
  const { clock, stopping: signal } = context;
  for (let waitMs = 100; context.identity().claims.notAfterMs <= clock.nowMs(); waitMs = Math.min(waitMs * 2, 5_000)) {
    try {
      await composed.useIdentity(await renew());
    } catch (error) {
      context.log.warn('renewal-failed', errorFacts(error));
      await clock.sleep(waitMs, { signal });
    }
  }
};

const runRenewals = (composed: ComposedRole, renew: () => Promise<Identity>): Promise<void> => {
  const { context } = composed;
  const { clock, random, stopping: signal } = context;
  return runRenewal({
    identity: context.identity,
    renew,
    onRenewed: composed.useIdentity,
    onFailed: (error) => context.log.warn('renewal-failed', errorFacts(error)),
    clock,
    random,
    signal,
  });
};
