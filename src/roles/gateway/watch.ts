// What operators watch the network with, besides its status: the timeline, what all nodes compared and read back, and
// how far their indexes of star systems are. A node that does not answer is in the answer without a word of its own,
// because that is what the operator has to see.
import type { Handler, Handlers } from '../../client/transport.ts';
import { OperaError } from '../../errors/errors.ts';
import type { MemberId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { MemberRecord, Registry } from '../../registry/registry.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { AnswerOf, RequestOf } from '../../wire/routes.ts';
import type { RoleContext } from '../context.ts';
import type { MemberDirectory } from './directory.ts';

/** Asks all these nodes at once; `answer` is undefined for those that do not answer in time. */
const askNodes = <R extends 'hygiene.check' | 'index.look'>(
  { transport, log }: RoleContext,
  nodes: readonly MemberRecord[],
  route: R,
  request: RequestOf<R>,
  signal: AbortSignal,
): Promise<{ readonly memberId: MemberId; readonly address: string; readonly answer: AnswerOf<R> | undefined }[]> =>
  Promise.all(
    nodes.map(async ({ memberId, addresses: [address = ''] }) => {
      try {
        const to = { address, expect: { memberId } };
        const { answer } = await transport.call(to, route, request, { signal, timeoutMs: limits.probeTimeoutMs });
        return { memberId, address, answer };
      } catch (error) {
        log.debug('node-unanswered', { node: memberId, route, ...errorFacts(error) });
        return { memberId, address, answer: undefined };
      }
    }),
  );

const checkHandler =
  (context: RoleContext, directory: MemberDirectory): Handler<'node.check'> =>
  async ({ request, signal }) => {
    const nodes = await directory.dialable('node');
    const answers = await askNodes(context, nodes, 'hygiene.check', request, signal);
    return { answer: { nodes: answers.map(({ answer: check, ...node }) => ({ ...node, ...(check && { check }) })) } };
  };

const lookAtIndexes = async (
  context: RoleContext,
  nodes: readonly MemberRecord[],
  rebuild: boolean,
  signal: AbortSignal,
): Promise<{ readonly answer: AnswerOf<'index.list'> }> => {
  const answers = await askNodes(context, nodes, 'index.look', { rebuild }, signal);
  return { answer: { nodes: answers.map(({ answer: index, ...node }) => ({ ...node, ...(index && { index }) })) } };
};

const indexListHandler =
  (context: RoleContext, directory: MemberDirectory): Handler<'index.list'> =>
  async ({ signal }) =>
    lookAtIndexes(context, await directory.dialable('node'), false, signal);

/** Of all nodes, or of the one that is named. Each builds by itself; the answer is how far they are now. */
const indexRebuildHandler =
  (context: RoleContext, directory: MemberDirectory): Handler<'index.rebuild'> =>
  async ({ request, signal }) => {
    const nodes = await directory.dialable('node');
    const meant = nodes.filter(({ memberId }) => request.memberId === undefined || memberId === request.memberId);
    if (meant.length === 0 && request.memberId !== undefined) {
      throw new OperaError('not-found', 'no node of the network that can be dialled has this id');
    }
    return lookAtIndexes(context, meant, true, signal);
  };

const eventsHandler =
  (registry: Registry): Handler<'event.list'> =>
  async ({ request }) => {
    const events = await registry.listEvents(request.after, request.limit);
    return { answer: { events: events.map((event) => ({ ...event, facts: { ...event.facts } })) } };
  };

export const watchHandlers = (context: RoleContext, registry: Registry, directory: MemberDirectory): Handlers => ({
  'node.check': checkHandler(context, directory),
  'event.list': eventsHandler(registry),
  'index.list': indexListHandler(context, directory),
  'index.rebuild': indexRebuildHandler(context, directory),
});
