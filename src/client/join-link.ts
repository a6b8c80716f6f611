// The way to a gateway's join listener for one that has no certificate: first the CA bundle, from whoever answers;
// then connections that are verified against that bundle and lead to a gateway of its network.
// The fetch of the bundle is the one place that does not verify: nothing is sent there, and the pin in the join code
// decides what is believed of the answer.
import { Client } from 'undici';
import { OperaError } from '../errors/errors.ts';
import { bundlePem, type CaBundle } from '../identity/ca-bundle.ts';
import type { CertificateClaims } from '../identity/certificate.ts';
import { limits } from '../model/limits.ts';
import type { Clock } from '../runtime/clock.ts';
import { decodeError } from '../wire/error-body.ts';
import { decodeFrame, encodeFrame, frameMediaType } from '../wire/frame.ts';
import { bundleAnswer } from '../wire/messages-members.ts';
import { pathOf } from '../wire/routes.ts';
import { parseWith } from '../wire/schema.ts';
import { HttpTransport } from './http-transport.ts';
import type { Transport } from './transport.ts';

/** Verified calls of join routes. */
export interface JoinConnection {
  readonly transport: Transport;
  /** The gateway that answered last, as its certificate says; undefined before the first call. */
  readonly gateway: () => Pick<CertificateClaims, 'keyHash' | 'memberId'> | undefined;
}

/** The seam of joining; the simulator has its own. */
export interface JoinLink {
  /** The CA bundle as the one at `address` states it: not to be believed before its pin was compared. */
  fetchBundle(address: string, signal?: AbortSignal): Promise<Uint8Array>;
  connect(bundle: CaBundle): JoinConnection;
}

/** A bundle of 64 KiB in base64 with its frame. */
const bundleAnswerBytesMax = 128 * 1024;

const readBounded = async (body: AsyncIterable<Uint8Array>): Promise<Uint8Array> => {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of body) {
    length += part.length;
    if (length > bundleAnswerBytesMax) throw new OperaError('too-large', 'the CA bundle is too large');
    parts.push(part);
  }
  return Buffer.concat(parts, length);
};

const fetchBundle = async (address: string, signal: AbortSignal): Promise<Uint8Array> => {
  const client = new Client(`https://${address}`, {
    allowH2: false,
    connect: {
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      servername: 'opera.invalid',
      timeout: limits.connectTimeoutMs,
    },
  });
  try {
    const response = await client.request({
      method: 'POST',
      path: pathOf('join.bundle'),
      headers: { 'content-type': frameMediaType, accept: frameMediaType },
      body: Buffer.concat(encodeFrame({})),
      signal,
    });
    const bytes = await readBounded(response.body);
    if (response.statusCode !== 200) throw decodeError(response.statusCode, bytes);
    return parseWith(bundleAnswer, decodeFrame(bytes).message).bundle;
  } finally {
    await client.destroy();
  }
};

export class HttpJoinLink implements JoinLink {
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async fetchBundle(address: string, signal?: AbortSignal): Promise<Uint8Array> {
    const timeout = AbortSignal.timeout(limits.callTimeoutMs);
    try {
      return await fetchBundle(address, signal ? AbortSignal.any([signal, timeout]) : timeout);
    } catch (cause) {
      if (signal?.aborted) throw new OperaError('aborted', 'interrupted', { cause });
      if (cause instanceof OperaError) throw cause;
      throw new OperaError('unavailable', `no gateway answers at ${address}`, {
        cause,
        hint: 'Check that address of the join code, and that the gateway runs and can be reached from here',
      });
    }
  }

  connect(bundle: CaBundle): JoinConnection {
    let last: CertificateClaims | undefined;
    const transport = new HttpTransport({
      networkId: bundle.networkId,
      credentials: () => undefined,
      authorities: bundlePem(bundle),
      roster: () => undefined,
      nowMs: () => this.#clock.nowMs(),
      onPeer: (claims) => {
        last = claims;
      },
    });
    return { transport, gateway: () => last };
  }
}
