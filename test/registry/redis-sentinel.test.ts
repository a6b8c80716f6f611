// The connection behind a Sentinel, against a Redis and a Sentinel played here: their answers come when the test says,
// because what goes wrong in a failover goes wrong between two messages. Of RESP they know what ioredis sends.
import assert from 'node:assert/strict';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, test } from 'node:test';
import { RedisConnection } from '../../src/registry/_redis-connection.ts';
import { SystemClock } from '../../src/runtime/clock.ts';
import { SystemRandom } from '../../src/runtime/random.ts';
import { eventually, patienceMs } from '../support/eventually.ts';

type Answer = (words: readonly string[], socket: Socket) => Promise<string> | string;

const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
const list = (...entries: readonly string[]): string => `*${entries.length}\r\n${entries.join('')}`;
const clock = new SystemClock();

/** A server that answers whole commands in their order. */
class Played {
  readonly sockets = new Set<Socket>();
  readonly #server: Server;

  constructor(answer: Answer) {
    this.#server = createServer((socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
      socket.on('error', () => undefined);
      let text = '';
      let last = Promise.resolve();
      socket.on('data', (bytes) => {
        text += bytes.toString('latin1');
        for (let words = take(); words; words = take()) {
          const command = words;
          last = last.then(async () => void socket.write(await answer(command, socket)));
        }
      });
      /** The next command that came whole: an array of bulk strings. */
      const take = (): readonly string[] | undefined => {
        const lines = text.split('\r\n');
        const count = Number(lines[0]?.slice(1));
        if (!lines[0]?.startsWith('*') || lines.length < 2 * count + 2) return undefined;
        text = lines.slice(2 * count + 1).join('\r\n');
        return Array.from({ length: count }, (_, at) => lines[2 * at + 2] ?? '');
      };
    });
  }

  listen(): Promise<number> {
    return new Promise((resolve) => {
      this.#server.listen(0, '127.0.0.1', () => {
        const address = this.#server.address();
        resolve(typeof address === 'object' && address ? address.port : 0);
      });
    });
  }

  /** Ends every connection, as the death of the process does. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  close(): Promise<void> {
    this.cut();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

const open: { close: () => Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

const playRedis = async (): Promise<{ readonly redis: Played; readonly port: number }> => {
  const redis = new Played(([name]) => {
    if (name === 'info') return bulk(`role:master\r\nrun_id:${'a'.repeat(40)}\r\n`);
    return '+OK\r\n';
  });
  open.push(redis);
  return { redis, port: await redis.listen() };
};

/** `ask` answers, or never does, which of the ports is the primary's. */
const playSentinel = async (ask: () => Promise<number> | number) => {
  const listeners = new Set<Socket>();
  const sentinel = new Played(async ([name, verb], socket) => {
    if (name === 'subscribe') {
      listeners.add(socket);
      return list(bulk('subscribe'), bulk('+switch-master'), ':1\r\n');
    }
    if (name !== 'sentinel') return '+OK\r\n';
    return verb === 'sentinels' ? '*0\r\n' : list(bulk('127.0.0.1'), bulk(String(await ask())));
  });
  open.push(sentinel);
  const announce = (): void => {
    for (const socket of listeners) {
      if (!socket.destroyed) socket.write(list(bulk('message'), bulk('+switch-master'), bulk('opera')));
    }
  };
  return { sentinel, listeners, announce, port: await sentinel.listen() };
};

const connect = (...sentinels: readonly number[]): RedisConnection => {
  const hosts = sentinels.map((port) => `127.0.0.1:${port}`).join(',');
  const url = `redis+sentinel://${hosts}/opera`;
  const connection = new RedisConnection({ url, clock, random: new SystemRandom(), readyPatienceMs: patienceMs });
  open.unshift(connection);
  return connection;
};

test('a switch announced while the primary is being looked up does not end the connection for good', async () => {
  const { redis, port } = await playRedis();
  let asked = 0;
  const played = await playSentinel(async () => {
    asked += 1;
    // The second look-up is the one after the loss: the announcement overtakes its answer.
    if (asked === 2) {
      played.announce();
      await clock.sleep(100);
    }
    return port;
  });
  const connection = connect(played.port);
  await connection.command('PING', []);
  await eventually(() => played.listeners.size > 0);
  redis.cut();
  const returned = async (): Promise<boolean> => String(await connection.command('PING', []).catch(() => '')) === 'OK';
  await eventually(returned, undefined, 50);
  assert.ok(asked >= 2, `asked ${asked} times`);
});

test('a Sentinel that takes the question and never answers is passed over', async () => {
  const { port } = await playRedis();
  const silent = await playSentinel(() => new Promise<number>(() => undefined));
  const good = await playSentinel(() => port);
  await connect(silent.port, good.port).command('PING', []);
});
