// A bad line: a TCP proxy that delays, narrows, cuts and alters what passes through it, by a seed. What is altered
// still arrives, so that only checks on both ends can tell.
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { Transform } from 'node:stream';
import { SystemClock } from '../../src/runtime/clock.ts';
import type { SeededRandom } from './seeded.ts';

const clock = new SystemClock();

export interface LineWeather {
  /** Before anything is passed on, each way. */
  readonly delayMs: number;
  /** Of one connection, each way. */
  readonly bytesPerSecond: number;
  /** Chance that a piece of up to 16 KiB ends its connection with a reset. */
  readonly resets: number;
  /** Chance that one bit of a piece arrives altered. */
  readonly flips: number;
}

export class ChaosProxy {
  readonly #server: Server;
  readonly #random: SeededRandom;
  readonly #open = new Set<Socket>();
  /** Undefined: a good line. */
  weather: LineWeather | undefined;
  readonly counts = { connections: 0, resets: 0, flips: 0 };

  private constructor(target: string, random: SeededRandom) {
    this.#random = random;
    this.#server = createServer((from) => this.#join(from, target));
  }

  /** A line to `target`, an `ip:port`. */
  static async start(target: string, random: SeededRandom): Promise<ChaosProxy> {
    const proxy = new ChaosProxy(target, random);
    await new Promise<void>((listening) => proxy.#server.listen(0, '127.0.0.1', listening));
    return proxy;
  }

  get address(): string {
    const at = this.#server.address();
    return typeof at === 'object' && at ? `${at.address}:${at.port}` : '';
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#open) socket.destroy();
  }

  #join(from: Socket, target: string): void {
    this.counts.connections++;
    const [host = '', port = ''] = target.split(':');
    const to = createConnection({ host, port: Number(port) });
    const cut = (): void => {
      from.resetAndDestroy();
      to.resetAndDestroy();
    };
    for (const [socket, other] of [
      [from, to],
      [to, from],
    ] as const) {
      this.#open.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#open.delete(socket);
        other.destroy();
      });
      socket.pipe(this.#line(cut)).pipe(other);
    }
  }

  #line(cut: () => void): Transform {
    return new Transform({
      highWaterMark: 16 * 1024,
      transform: (piece: Buffer, _encoding, pass) => {
        const { weather } = this;
        if (!weather) return pass(null, piece);
        if (this.#random.fraction() < weather.resets) {
          this.counts.resets++;
          return cut();
        }
        if (this.#random.fraction() < weather.flips) {
          this.counts.flips++;
          const at = this.#random.below(piece.length);
          piece[at] = (piece[at] ?? 0) ^ (1 << this.#random.below(8));
        }
        clock.after(weather.delayMs + (1_000 * piece.length) / weather.bytesPerSecond, () => pass(null, piece));
      },
    });
  }
}
