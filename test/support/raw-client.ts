// A client that writes bytes as it likes over real mutual TLS, for requests that no library would send.
import { connect, type TLSSocket } from 'node:tls';
import type { TlsCredentials } from '../../src/client/http-transport.ts';
import { encodeFrame } from '../../src/wire/frame.ts';
import { patienceMs } from './eventually.ts';
import { clock } from './mesh.ts';

export interface RawAnswer {
  readonly status: number;
  readonly headers: string;
  readonly body: string;
}

/** The answers in what came back, in order; text that is no answer is one of status 0. */
const parseAnswers = (text: string): readonly RawAnswer[] => {
  const answers: RawAnswer[] = [];
  let rest = text;
  while (rest.length > 0) {
    const end = rest.indexOf('\r\n\r\n');
    const status = /^HTTP\/1\.1 ([0-9]{3}) /.exec(rest);
    if (!status || end < 0) return [...answers, { status: 0, headers: '', body: rest }];
    const headers = rest.slice(0, end);
    const length = Number(/\r\ncontent-length: ([0-9]+)/i.exec(headers)?.[1] ?? 0);
    const body = rest.slice(end + 4, end + 4 + length);
    answers.push({ status: Number(status[1]), headers, body });
    rest = rest.slice(end + 4 + length);
  }
  return answers;
};

export class RawClient {
  readonly socket: TLSSocket;
  closed = false;
  text = '';

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (part: string) => {
      this.text += part;
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.closed = true;
    });
  }

  /** Connects; rejects when the handshake fails on this side. */
  static open(port: number, tls: TlsCredentials | undefined): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({
        host: '127.0.0.1',
        port,
        ...(tls ? { key: tls.key, cert: tls.certificate, ca: [...tls.authorities] } : {}),
        servername: 'opera.invalid',
        checkServerIdentity: () => undefined,
        ...(tls ? {} : { rejectUnauthorized: false }),
      });
      socket.once('secureConnect', () => resolve(new RawClient(socket)));
      socket.once('error', reject);
    });
  }

  get answers(): readonly RawAnswer[] {
    return parseAnswers(this.text);
  }

  write(bytes: string | Uint8Array): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** Waits until the other side closed, or `ms` passed without that; answers whether it closed. */
  async waitForClose(ms = patienceMs): Promise<boolean> {
    const until = clock.monotonicMs() + ms;
    while (!this.closed && clock.monotonicMs() < until) await clock.sleep(5);
    return this.closed;
  }

  /** Waits until `count` whole answers came, the other side closed, or `ms` passed. */
  async waitForAnswers(count: number, ms = patienceMs): Promise<readonly RawAnswer[]> {
    const until = clock.monotonicMs() + ms;
    while (!this.closed && clock.monotonicMs() < until && !this.#has(count)) await clock.sleep(5);
    return this.answers;
  }

  #has(count: number): boolean {
    const whole = this.answers.filter(({ status, headers, body }) => {
      return status !== 0 && body.length >= Number(/content-length: ([0-9]+)/i.exec(headers)?.[1] ?? 0);
    });
    return whole.length >= count;
  }

  destroy(): void {
    this.socket.destroy();
  }
}

const emptyBody = Buffer.concat(encodeFrame({})).toString('latin1');

/** A whole good request of a route without arguments; headers as given come behind ours. */
export const goodRequest = (path = '/v1/ping', extra: readonly string[] = []): string =>
  [
    `POST ${path} HTTP/1.1`,
    'Host: opera.invalid',
    'Content-Type: application/x-opera',
    `Content-Length: ${emptyBody.length}`,
    ...extra,
    '',
    emptyBody,
  ].join('\r\n');

/** Request line and headers as given (Host and type included), then `body`. */
export const requestOf = (line: string, headers: readonly string[], body = ''): string =>
  [line, ...headers, '', body].join('\r\n');

export const host = 'Host: opera.invalid';
export const type = 'Content-Type: application/x-opera';
export { emptyBody };
