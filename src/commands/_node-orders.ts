// What `nodes drain`, `resume` and `rm` share: which node is meant, sending the order, and how its answer is shown.
import type { Connection } from '../client/connection.ts';
import type { NetworkStatus } from '../client/verdict.ts';
import { OperaError } from '../errors/errors.ts';
import { formatByteSize, formatCount } from '../model/units.ts';
import type { AnswerOf } from '../wire/routes.ts';

export type NodeOrderAnswer = AnswerOf<'node.drain'>;
type Member = NetworkStatus['members'][number];

/** Characters that suffice to name a node by the beginning of its id. */
const idLengthMin = 4;

/** The node with this id or address, or the only one whose id begins so. */
export const findNode = async (connection: Connection, text: string, signal: AbortSignal): Promise<Member> => {
  const { members } = await connection.call('network.status', {}, { signal });
  const nodes = members.filter(({ role, revoked }) => role === 'node' && !revoked);
  const found = nodes.filter(
    ({ memberId, addresses }) =>
      memberId === text || addresses.includes(text) || (text.length >= idLengthMin && memberId.startsWith(text)),
  );
  const [node, another] = found;
  if (!node) {
    throw new OperaError('not-found', `no node has the id or address ${JSON.stringify(text)}`, {
      hint: 'See opera nodes ls',
    });
  }
  if (another) throw new OperaError('usage', `${found.length} nodes have ids that begin with ${JSON.stringify(text)}`);
  return node;
};

/** One line about where an order stands. */
export const standOf = ({
  memberId,
  state,
  inLayout,
  complete,
  bytesLeft,
  chunksLeft,
  safeToRemove,
}: NodeOrderAnswer) => {
  if (safeToRemove) return `${memberId} is ${state} and safe to remove`;
  if (chunksLeft > 0)
    return `${memberId} is ${state}: ${formatCount(chunksLeft, 'chunk')}, ${formatByteSize(bytesLeft)} left to copy`;
  if (inLayout) return `${memberId} is ${state}; the layout without it is being filled`;
  return `${memberId} is ${state}${complete ? '' : '; the layout without it is not complete yet'}`;
};

/** As `--json` prints it. */
export const documentOf = (answer: NodeOrderAnswer): Readonly<Record<string, unknown>> => ({ ...answer });
