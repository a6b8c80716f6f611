// Join tokens: made and signed here on an operator's request, kept in the registry, which counts their uses.
// Invariant: the seed of a join code never comes here; the operator's machine draws it and sends the public key.
import type { Handlers, IncomingCall, Reply } from '../../client/transport.ts';
import { OperaError } from '../../errors/errors.ts';
import { parseToken, signToken, tokenIdOf } from '../../identity/token.ts';
import { bytesToHex } from '../../model/ids.ts';
import type { Registry } from '../../registry/registry.ts';
import type { StoredToken } from '../../registry/tokens.ts';
import type { AnswerOf, RequestOf } from '../../wire/routes.ts';
import type { RoleContext } from '../context.ts';

type TokenEntry = AnswerOf<'token.list'>['tokens'][number];

const entryOf = ({ tokenId, role, expiresMs, usesMax, usedBy, createdBy }: StoredToken): TokenEntry => ({
  tokenId,
  role,
  expiresMs,
  usesMax,
  uses: usedBy.length,
  createdBy,
});

export class Tokens {
  readonly #context: RoleContext;
  readonly #registry: Registry;
  readonly #joinAddresses: () => readonly string[];

  constructor(context: RoleContext, registry: Registry, joinAddresses: () => readonly string[]) {
    this.#context = context;
    this.#registry = registry;
    this.#joinAddresses = joinAddresses;
  }

  get handlers(): Handlers {
    return {
      'token.create': (call) => this.#create(call),
      'token.list': async () => ({ answer: { tokens: (await this.#registry.listTokens()).map(entryOf) } }),
      'token.remove': ({ request }) => this.#remove(request),
    };
  }

  /** Repeating it with the same key answers the first one's token, so that a lost answer makes no second code. */
  async #create({ peer, request }: IncomingCall<'token.create'>): Promise<Reply<'token.create'>> {
    if (!peer) throw new OperaError('unauthenticated');
    const { networkId, clock, identity, random } = this.#context;
    const { incarnation } = await this.#registry.readLife();
    const { role, tokenKey, uses, lifeMs } = request;
    const expiresMs = clock.nowMs() + lifeMs;
    const fields = { role, uses, networkId, publicKey: tokenKey, expiresMs, incarnation };
    const record = signToken(fields, identity().signer);
    const tokenId = tokenIdOf(tokenKey);
    const before = await this.#registry.getToken(tokenId);
    await this.#registry.putToken({ tokenId, role, record, createdBy: peer.memberId, expiresMs, usesMax: uses });
    const token = await this.#registry.getToken(tokenId);
    if (!token || parseToken(token.record.bytes).role !== role) throw new OperaError('exists', 'this key has a token');
    if (!before) {
      const causeId = bytesToHex(random.bytes(16));
      const facts = { role, uses, tokenId };
      const event = { atMs: clock.nowMs(), kind: 'token-created', causeId, memberId: peer.memberId, facts };
      await this.#registry.appendEvent(event);
    }
    return { answer: { token: entryOf(token), joinAddresses: [...this.#joinAddresses()] } };
  }

  async #remove(request: RequestOf<'token.remove'>): Promise<Reply<'token.remove'>> {
    return { answer: { removed: await this.#registry.removeToken(request.tokenId) } };
  }
}
