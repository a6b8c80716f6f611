// The relay: requests about names, uploads and the network's state go on to a master, with the word of this gateway on
// whose they are. Any master may answer; when one cannot be reached or cannot work, the next is asked: all these
// requests only read, or carry operation ids.
// Invariant: names are checked here in their one spelling, so that what was judged is what is stored.
// Masters and gateways cache no names.
import type { Handler, Handlers, IncomingCall, Reply } from '../../client/transport.ts';
import { isOperaError, OperaError } from '../../errors/errors.ts';
import type { MemberId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { parseWireName } from '../../model/names.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { AnswerOf, RequestOf } from '../../wire/routes.ts';
import type { RoleContext } from '../context.ts';
import type { MemberDirectory } from './directory.ts';

/** Gateway routes that are relayed; the master's has the same name behind `master.`. */
type Relayed =
  | 'upload.open'
  | 'upload.held'
  | 'ticket.renew'
  | 'name.commit'
  | 'name.get'
  | 'name.list'
  | 'name.where'
  | 'catalogue.list'
  | 'network.status'
  | 'node.drain'
  | 'node.resume'
  | 'node.remove'
  | 'registry.rebuild';

/** A master that answers so may be asked later; another one may do it now. */
const nextMaster = [
  'unavailable',
  'timeout',
  'overloaded',
  'not-ready',
  'isolated',
  'registry-unavailable',
  'peer-mismatch',
  'unauthenticated',
  'revoked',
  'forbidden',
  'not-leader',
] as const;
/** A master that answers so has no registry, or one that is not yet to be believed. */
const withoutRegistry = ['registry-unavailable', 'registry-lost', 'stale-incarnation'] as const;
/** Between this gateway and a master; a client would take them for a word about itself. */
const betweenRoles = ['peer-mismatch', 'unauthenticated', 'revoked', 'forbidden'] as const;

const checkNames = (names: readonly string[]): void => {
  for (const name of names) parseWireName(name);
};

const checks: { readonly [N in Relayed]: (request: RequestOf<N>) => void } = {
  'upload.open': ({ names }) => checkNames(names),
  'upload.held': () => undefined,
  'ticket.renew': () => undefined,
  'name.commit': ({ changes }) => {
    checkNames(changes.flatMap((change) => (change.kind === 'rename' ? [change.name, change.to] : [change.name])));
  },
  'name.get': ({ names }) => checkNames(names),
  'name.list': ({ after }) => checkNames(after === undefined ? [] : [after]),
  'name.where': ({ name }) => checkNames([name]),
  'catalogue.list': () => undefined,
  'network.status': () => undefined,
  'node.drain': () => undefined,
  'node.resume': () => undefined,
  'node.remove': () => undefined,
  'registry.rebuild': () => undefined,
};

/** True for a state of the network told by a master that names another one as the leader. */
const isSecondBest = <N extends Relayed>(route: N, answer: AnswerOf<N>, from: MemberId): boolean => {
  if (route !== 'network.status') return false;
  const { leader } = answer as AnswerOf<'network.status'>;
  return leader !== undefined && leader.memberId !== from;
};

export class Relay {
  readonly #context: RoleContext;
  readonly #directory: MemberDirectory;
  #good: MemberId | undefined;
  /** The last master that said it has no registry: it lives, and can ask the nodes. */
  #cutOff: MemberId | undefined;

  constructor(context: RoleContext, directory: MemberDirectory) {
    this.#context = context;
    this.#directory = directory;
  }

  get handlers(): Handlers {
    return {
      'upload.open': this.#relay('upload.open'),
      'upload.held': this.#relay('upload.held'),
      'ticket.renew': this.#relay('ticket.renew'),
      'name.commit': this.#relay('name.commit'),
      'name.get': this.#relay('name.get'),
      'name.list': this.#relay('name.list'),
      'name.where': this.#relay('name.where'),
      'catalogue.list': this.#relay('catalogue.list'),
      'network.status': this.#relay('network.status'),
      'node.drain': this.#relay('node.drain'),
      'node.resume': this.#relay('node.resume'),
      'node.remove': this.#relay('node.remove'),
      'registry.rebuild': this.#relay('registry.rebuild'),
    };
  }

  /** Tells every master that a member's addresses or state changed; masters also find out by themselves, later. */
  async tellMasters(memberId: MemberId): Promise<void> {
    const masters = await this.#directory.dialable('master');
    const { transport, stopping, log } = this.#context;
    const tell = async ({ memberId: master, addresses: [address = ''] }: (typeof masters)[number]): Promise<void> => {
      const options = { signal: stopping, timeoutMs: limits.probeTimeoutMs };
      await transport.call({ address, expect: { memberId: master } }, 'member.changed', { memberId }, options);
    };
    for (const told of await Promise.allSettled(masters.map(tell))) {
      if (told.status === 'rejected') log.debug('master-not-told', errorFacts(told.reason));
    }
  }

  #relay<N extends Relayed>(route: N): Handler<N> {
    return async (call) => {
      // The type of the request follows from the route; the table of checks has the same keys.
      (checks[route] as (request: RequestOf<N>) => void)(call.request);
      const deadlineMs = this.#context.clock.monotonicMs() + limits.relayMs;
      try {
        return { answer: await this.#ask(route, call, deadlineMs) } as Reply<N>;
      } catch (error) {
        // No master reaches a registry that may be believed: the nodes together know the names as well.
        if (route !== 'name.get' || !isOperaError(error, ...withoutRegistry)) throw error;
        const left = deadlineMs > this.#context.clock.monotonicMs();
        if (!left) throw error;
        return { answer: await this.#ask(route, call, deadlineMs, true) } as Reply<N>;
      }
    };
  }

  async #ask<N extends Relayed>(
    route: N,
    call: IncomingCall<N>,
    deadlineMs: number,
    fromNodes = false,
  ): Promise<AnswerOf<N>> {
    const { peer } = call;
    if (!peer) throw new OperaError('unauthenticated');
    const masters = await this.#masters(fromNodes ? this.#cutOff : this.#good);
    let last: unknown = new OperaError('unavailable', 'the network has no master that can be reached');
    let secondBest: AnswerOf<N> | undefined;
    const onBehalf = { client: peer.keyHash, clientRole: peer.role, request: call.request };
    const request = fromNodes ? { ...onBehalf, fromNodes } : onBehalf;
    for (const [at, { memberId, addresses }] of masters.entries()) {
      const restMs = deadlineMs - this.#context.clock.monotonicMs();
      if (restMs <= 0) break;
      const noRegistry = isOperaError(last, ...withoutRegistry);
      // The last one gets all the time that is left; one that hangs must leave some for the others, or for the nodes.
      const isLast = at === masters.length - 1 && !noRegistry;
      const timeoutMs = isLast ? restMs : Math.min(restMs, limits.relayTryMs);
      const to = { address: addresses[0] ?? '', expect: { memberId } };
      try {
        const options = { signal: call.signal, timeoutMs };
        const { answer } = await this.#context.transport.call(to, `master.${route}`, request as never, options);
        // Only the leader hears heartbeats: what another master says of the nodes is the second best.
        if (isSecondBest(route, answer as AnswerOf<N>, memberId)) {
          secondBest = answer as AnswerOf<N>;
          continue;
        }
        this.#good = memberId;
        return answer as AnswerOf<N>;
      } catch (error) {
        if (isOperaError(error, ...withoutRegistry)) this.#cutOff = memberId;
        if (!isOperaError(error, ...nextMaster)) throw error;
        if (this.#good === memberId) this.#good = undefined;
        this.#context.log.debug('master-passed-over', { memberId, ...errorFacts(error) });
        // Of one out of reach nothing is known; that another one has no registry is what the nodes make up for.
        if (!noRegistry) last = error;
      }
    }
    if (secondBest) return secondBest;
    if (!isOperaError(last, ...betweenRoles)) throw last;
    throw new OperaError('unavailable', 'no master can be reached', { cause: last });
  }

  /** The one that answered last comes first, then those that are up. */
  async #masters(first: MemberId | undefined) {
    const masters = await this.#directory.dialable('master');
    const rank = ({ memberId, state }: (typeof masters)[number]): number => {
      if (memberId === first) return 0;
      return state === 'down' || state === 'out' ? 2 : 1;
    };
    return [...masters].sort((a, b) => rank(a) - rank(b));
  }
}
