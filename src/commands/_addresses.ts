// Where a role listens and what it tells others of itself: addresses, zone, capacity. A port once chosen is kept in
// `<home>/role.json`, so that a restart comes back under the same address; addresses of a machine are guessed only
// when nobody names them.
import { randomInt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import * as v from 'valibot';
import { OperaError } from '../errors/errors.ts';
import { formatHostPort, type HostPort, parseHostPort } from '../identity/address.ts';
import { systemErrorCode, writeFileDurably } from '../runtime/files.ts';

const storedSchema = v.object({
  version: v.literal(1),
  listen: v.string(),
  joinListen: v.optional(v.string()),
  advertise: v.string(),
  zone: v.optional(v.string()),
  capacityBytes: v.optional(v.number()),
});

export interface RoleAddresses {
  readonly listen: HostPort;
  /** Gateways only. */
  readonly joinListen: HostPort | undefined;
  /** `host:port` that others dial, and for gateways the same of the join listener. */
  readonly advertised: string;
  readonly joinAdvertised: string | undefined;
  /** Empty when never given. */
  readonly zone: string;
  /** 0 when never given. */
  readonly capacityBytes: number;
}

export interface AddressWishes {
  readonly listen: string | undefined;
  readonly joinListen: string | undefined;
  readonly advertise: string | undefined;
  /** True when this role has a join listener. */
  readonly joins: boolean;
  /** Address of the gateway that is joined; a loopback one means that all is on this machine. */
  readonly gateway: string | undefined;
  readonly zone?: string | undefined;
  readonly capacityBytes?: number | undefined;
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || host.startsWith('127.');

/** `host:port`, `host` alone or with port 0 (a free one is chosen); a `config` error names the flag. */
const parseListen = (text: string, flag: string): HostPort => {
  const parsed = parseHostPort(text);
  if (parsed) return parsed;
  const host = parseHostPort(`${text.replace(/:0$/, '')}:1`)?.host;
  if (host !== undefined) return { host, port: 0 };
  throw new OperaError('config', `${flag} ${text} is not an address of the form host:port`);
};

/** The first IPv4 address of this machine that others could reach. */
const machineAddress = (): string =>
  Object.values(networkInterfaces())
    .flatMap((entries) => entries ?? [])
    .find((entry) => entry.family === 'IPv4' && !entry.internal)?.address ?? '127.0.0.1';

/**
 * Ports are drawn below the range from which systems take the near ends of outgoing connections (32,768 and above on
 * Linux): one of those could be taken between now and the moment when the role listens, and at every later start.
 */
const drawnPorts = { from: 20_000, count: 12_000 } as const;
const drawsMax = 50;

/** The port when `host` can listen on it now; 0 asks for any. */
const tryPort = (host: string, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, host, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });

/** A port that is free now on `host`. */
const findFreePort = async (host: string): Promise<number> => {
  for (let draw = 0; draw < drawsMax; draw++) {
    const port = drawnPorts.from + randomInt(drawnPorts.count);
    const free = await tryPort(host, port).catch((error: unknown) => {
      if (systemErrorCode(error) === 'EADDRINUSE' || systemErrorCode(error) === 'EACCES') return undefined;
      throw new OperaError('config', `cannot listen on ${host}`, {
        cause: error,
        hint: 'Name another host with --listen.',
      });
    });
    if (free !== undefined) return free;
  }
  return tryPort(host, 0);
};

const withPort = async (at: HostPort): Promise<HostPort> =>
  at.port === 0 ? { ...at, port: await findFreePort(at.host) } : at;

const readStored = async (home: string): Promise<v.InferOutput<typeof storedSchema> | undefined> => {
  try {
    return v.parse(storedSchema, JSON.parse(await readFile(join(home, 'role.json'), 'utf8')));
  } catch (cause) {
    if (systemErrorCode(cause) === 'ENOENT') return undefined;
    throw new OperaError('config', `${join(home, 'role.json')} cannot be read`, {
      cause,
      hint: 'Remove it; name the addresses with --listen and --advertise.',
    });
  }
};

/** Decides where to listen and writes it down; flags win over what was kept, and that over guesses. */
export const chooseAddresses = async (home: string, wishes: AddressWishes): Promise<RoleAddresses> => {
  const stored = await readStored(home);
  const gatewayHost = wishes.gateway === undefined ? undefined : parseHostPort(wishes.gateway)?.host;
  const local = gatewayHost !== undefined && isLoopback(gatewayHost);
  const fallback = local ? '127.0.0.1:0' : '0.0.0.0:0';
  const listen = await withPort(parseListen(wishes.listen ?? stored?.listen ?? fallback, '--listen'));
  const joinListen = wishes.joins
    ? await withPort(parseListen(wishes.joinListen ?? stored?.joinListen ?? `${listen.host}:0`, '--join-listen'))
    : undefined;
  const anyHost = listen.host === '0.0.0.0' || listen.host === '::';
  const guess = anyHost ? machineAddress() : listen.host;
  // An advertised address may leave the port out by naming 0: then it is the listener's.
  const kept = wishes.listen === undefined ? stored?.advertise : undefined;
  const named = parseListen(wishes.advertise ?? kept ?? guess, '--advertise');
  const advertised = formatHostPort({ host: named.host, port: named.port || listen.port });
  const zone = wishes.zone ?? stored?.zone;
  const capacityBytes = wishes.capacityBytes ?? stored?.capacityBytes;
  const settings = {
    version: 1,
    listen: formatHostPort(listen),
    ...(joinListen ? { joinListen: formatHostPort(joinListen) } : {}),
    advertise: advertised,
    ...(zone === undefined ? {} : { zone }),
    ...(capacityBytes === undefined ? {} : { capacityBytes }),
  };
  await writeFileDurably(join(home, 'role.json'), `${JSON.stringify(settings, undefined, 2)}\n`, 0o600);
  const joinAdvertised = joinListen ? formatHostPort({ host: named.host, port: joinListen.port }) : undefined;
  return { listen, joinListen, advertised, joinAdvertised, zone: zone ?? '', capacityBytes: capacityBytes ?? 0 };
};
