// What operators watch the network with, besides its status: the timeline, and what all nodes compared and read back.
import type { Handler, Handlers } from '../../client/transport.ts';
import { limits } from '../../model/limits.ts';
import type { Registry } from '../../registry/registry.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { RoleContext } from '../context.ts';
import type { MemberDirectory } from './directory.ts';

/**
 * Asks all nodes at once; one that does not answer is in the answer without a word of its own, because that is what the
 * operator has to see.
 */
const checkHandler =
  (context: RoleContext, directory: MemberDirectory): Handler<'node.check'> =>
  async ({ request, signal }) => {
    const nodes = await directory.dialable('node');
    const answers = await Promise.all(
      nodes.map(async ({ memberId, addresses: [address = ''] }) => {
        try {
          const to = { address, expect: { memberId } };
          const options = { signal, timeoutMs: limits.probeTimeoutMs };
          const { answer } = await context.transport.call(to, 'hygiene.check', request, options);
          return { memberId, address, check: answer };
        } catch (error) {
          context.log.debug('check-unanswered', { node: memberId, ...errorFacts(error) });
          return { memberId, address };
        }
      }),
    );
    return { answer: { nodes: answers } };
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
});
