// One connection to Redis that never resends and never queues: a command is sent on a connection whose run id was
// read first, or fails with `registry-unavailable`. So a step never lands on another life of the database than the
// one its caller was told of: the run id goes along as an argument, and the scripts compare it.
// A server whose settings lose names is not used. Errors carry Redis's first word alone (READONLY, NOAUTH, …) or a code
// of the system: the client's own repeat arguments and passwords.
import { isIP } from 'node:net';
import type { Redis, RedisOptions } from 'ioredis';
import { type ErrorCode, isErrorCode, isOperaError, OperaError } from '../errors/errors.ts';
import type { Clock } from '../runtime/clock.ts';
import { type Random, randomFraction } from '../runtime/random.ts';
import type { Script } from './_redis-scripts.ts';
import { parseServerInfo } from './_redis-server.ts';
import { parseRedisUrl, type RedisTarget } from './redis-url.ts';

/** TCP and TLS set-up; longer means a dead address. */
const connectTimeoutMs = 2000;
/** The slowest script (a restore of 1,000 names) takes 50 ms; half would give up during a slow fsync of the AOF. */
const commandTimeoutMs = 4000;
/** How long a call waits for a connection that is being made. Double would outlast the patience of clients. */
const readyPatienceDefaultMs = 2500;
/** Pauses between attempts to connect: 50 ms doubling to this, each jittered down to a half. */
const retryPauseMaxMs = 1000;

export type Argument = string | number | bigint | Uint8Array;

export interface RedisConnectionOptions {
  /** See redis-url.ts. */
  readonly url: string;
  readonly clock: Clock;
  readonly random: Random;
  /** How long a call waits for a connection that is being made; 2,500 when not given. */
  readonly readyPatienceMs?: number;
  /** Told of each connection to a server that works, but is set up otherwise than it should be. */
  readonly warn?: (sentence: string) => void;
}

const targetOptions = (target: RedisTarget): RedisOptions => {
  switch (target.kind) {
    case 'tcp': {
      const { host, port } = target.address;
      // TLS names no addresses (RFC 6066, section 3); they are compared with the certificate all the same.
      return { host, port, ...(target.tls ? { tls: isIP(host) === 0 ? { servername: host } : {} } : {}) };
    }
    case 'unix':
      return { path: target.path };
    case 'sentinel':
      return { sentinels: [...target.sentinels], name: target.name, role: 'master', failoverDetector: true };
  }
};

/** Redis's first word, or the code of the system or of TLS; never a text, which may repeat arguments. */
const firstWord = (error: unknown): string => {
  if (!(error instanceof Error)) return 'no answer';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return /^[A-Z]{2,20}(?=\s|$)/.exec(error.message)?.[0] ?? /^[A-Z][A-Z0-9_]{2,60}$/.exec(code)?.[0] ?? 'no answer';
};

/** The code a script refused with, `OPERA <code>`. */
const scriptCode = (error: unknown): ErrorCode | undefined => {
  const code = error instanceof Error ? /^OPERA ([a-z_-]+)/.exec(error.message)?.[1] : undefined;
  return isErrorCode(code) ? code : undefined;
};

const toArgument = (value: Argument): string | number | Buffer => {
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'string' || typeof value === 'number') return value;
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
};

export class RedisConnection {
  readonly #target: RedisTarget;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #readyPatienceMs: number;
  readonly #warn: (sentence: string) => void;
  #redis: Promise<Redis> | undefined;
  #closed = false;
  /** Counts connections made and lost, so that a late answer about an earlier one is not taken for this one's. */
  #connection = 0;
  #runId: string | undefined;
  #lastFault = 'no answer';
  readonly #waiting = new Set<() => void>();

  constructor(options: RedisConnectionOptions) {
    this.#readyPatienceMs = options.readyPatienceMs ?? readyPatienceDefaultMs;
    this.#warn = options.warn ?? (() => undefined);
    this.#target = parseRedisUrl(options.url);
    this.#clock = options.clock;
    this.#random = options.random;
  }

  /** Runs a script on a connection whose run id is given to `argsOf`. Bytes come back as Buffers of their own. */
  async run(script: Script, argsOf: (runId: string) => readonly Argument[]): Promise<unknown> {
    const { redis, runId } = await this.#ready();
    const args = argsOf(runId).map(toArgument);
    try {
      return await redis.callBuffer('EVALSHA', [script.sha, 0, ...args]);
    } catch (error) {
      if (firstWord(error) !== 'NOSCRIPT') throw this.#translate(error);
    }
    // The script was not there, so nothing was done; it may be sent whole, if this still is that server.
    if (this.#runId !== runId) throw this.#unavailable('it restarted');
    return redis.callBuffer('EVAL', [script.source, 0, ...args]).catch((error: unknown) => {
      throw this.#translate(error);
    });
  }

  /** A plain command; only for what no script of ours does. */
  async command(name: string, args: readonly Argument[]): Promise<unknown> {
    const { redis } = await this.#ready();
    return redis.callBuffer(name, args.map(toArgument)).catch((error: unknown) => {
      throw this.#translate(error);
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#wake();
    const redis = await this.#redis?.catch(() => undefined);
    redis?.disconnect();
  }

  #unavailable(why: string): OperaError {
    return new OperaError('registry-unavailable', `the registry cannot be reached: ${why}`);
  }

  #translate(error: unknown): OperaError {
    const code = scriptCode(error);
    if (code) return new OperaError(code);
    return this.#closed ? this.#closedError() : this.#unavailable(firstWord(error));
  }

  #closedError(): OperaError {
    return new OperaError('not-ready', 'the registry was closed');
  }

  async #ready(): Promise<{ readonly redis: Redis; readonly runId: string }> {
    if (this.#closed) throw this.#closedError();
    this.#redis ??= this.#connect();
    const redis = await this.#redis;
    const deadline = this.#clock.monotonicMs() + this.#readyPatienceMs;
    for (;;) {
      if (this.#closed) throw this.#closedError();
      const runId = this.#runId;
      if (runId !== undefined && redis.status === 'ready') return { redis, runId };
      const left = deadline - this.#clock.monotonicMs();
      if (left <= 0) throw this.#unavailable(this.#lastFault);
      await this.#change(left);
    }
  }

  /** Resolves at the next change of the connection, or after `ms`. */
  #change(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done);
        cancel();
        resolve();
      };
      const cancel = this.#clock.after(ms, done);
      this.#waiting.add(done);
    });
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
  }

  #options(): RedisOptions {
    const { username, password, database } = this.#target;
    const pause = (attempt: number): number => this.#retryPause(attempt);
    return {
      ...targetOptions(this.#target),
      username,
      password,
      db: database,
      lazyConnect: true,
      connectTimeout: connectTimeoutMs,
      commandTimeout: commandTimeoutMs,
      sentinelCommandTimeout: connectTimeoutMs,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      connectionName: 'opera',
      retryStrategy: pause,
      sentinelRetryStrategy: pause,
      sentinelReconnectStrategy: pause,
      // A primary that became a replica answers READONLY: connect anew, which asks the Sentinels again.
      reconnectOnError: (error) => error.message.startsWith('READONLY'),
    };
  }

  #retryPause(attempt: number): number {
    return Math.min(50 * 2 ** Math.min(attempt, 10), retryPauseMaxMs) * (0.5 + randomFraction(this.#random) / 2);
  }

  async #connect(): Promise<Redis> {
    const { Redis } = await import('ioredis');
    const redis = new Redis({ ...this.#options(), protocol: 2, replyMapping: 'legacy' });
    redis.on('error', (error: unknown) => {
      this.#lastFault = firstWord(error);
    });
    redis.on('ready', () => void this.#identify(redis, ++this.#connection));
    redis.on('close', () => {
      this.#connection += 1;
      this.#runId = undefined;
    });
    // ioredis gives up for good when a Sentinel announces a switch while it looks up the primary: its detector ends the
    // attempt as if the caller had. Nothing but `close` ends this connection, so it begins again.
    redis.on('end', () => {
      if (!this.#closed) this.#clock.after(this.#retryPause(0), () => dial());
    });
    const dial = (): void => {
      if (!this.#closed) redis.connect().catch(() => undefined);
    };
    dial();
    return redis;
  }

  /** Reads the run id, and how the server is set up, before any command of ours is sent on this connection. */
  async #identify(redis: Redis, connection: number): Promise<void> {
    try {
      const { runId, warning } = parseServerInfo(await redis.info());
      if (this.#connection !== connection || this.#closed) return;
      if (warning !== undefined) this.#warn(warning);
      this.#runId = runId;
      this.#wake();
    } catch (error) {
      this.#lastFault = isOperaError(error) ? error.message : firstWord(error);
      // Without its run id a connection is not used; a new one asks again.
      if (this.#connection === connection) redis.disconnect(true);
    }
  }
}
