// What the nodes say together: who answered, which layouts they know, and whether that is enough for every acknowledged
// write to be in some answer. Only sound stores count. Registry and own memory may be wrong or gone: nothing here
// believes them, except where to dial.
import { OperaError } from '../../errors/errors.ts';
import { equalBytes } from '../../crypto/digest.ts';
import { isValidMember } from '../../identity/roster.ts';
import { type KeyHash, memberIdOf } from '../../model/ids.ts';
import { type Layout, verifyLayout } from '../../placement/layout.ts';
import type { MemberRecord, StoredLayout } from '../../registry/registry.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import { destinationOf } from '../peer-book.ts';
import type { MasterCore } from './core.ts';

export interface Witness {
  readonly keyHash: KeyHash;
  readonly member: MemberRecord;
  readonly to: ReturnType<typeof destinationOf>;
  readonly said: AnswerOf<'evidence.state'>;
}

export interface NodesView {
  readonly witnesses: readonly Witness[];
  /** Valid nodes of the roster that did not answer, those included whose address nobody knows. */
  readonly silent: readonly KeyHash[];
  /** Highest of all answers, sound or not. */
  readonly incarnation: number;
  readonly promisedEpoch: bigint;
  readonly sequence: bigint;
}

/** Asks every valid node now; `incarnation` is followed by those that know a lower one, 0 only asks. */
export const askNodes = async (
  core: MasterCore,
  members: readonly MemberRecord[],
  incarnation: number,
): Promise<NodesView> => {
  const { context } = core;
  const { roster } = context.rosters;
  const witnesses: Witness[] = [];
  await Promise.all(
    members.map(async (member) => {
      const { keyHash, memberId, state } = member;
      const [address] = member.addresses;
      if (address === undefined || state === 'removed' || !isValidMember(roster, keyHash, 'node')) return;
      try {
        const to = destinationOf({ memberId, address });
        const { answer } = await context.transport.call(to, 'evidence.state', { incarnation });
        witnesses.push({ keyHash, member, to, said: answer });
      } catch (error) {
        context.log.debug('evidence-unanswered', { node: memberId, ...errorFacts(error) });
      }
    }),
  );
  const answered = new Set(witnesses.map(({ keyHash }) => keyHash));
  const removed = new Set(members.filter(({ state }) => state === 'removed').map(({ keyHash }) => keyHash));
  const silent = roster.members
    .filter(({ keyHash, role, state }) => role === 'node' && state === 'valid' && !removed.has(keyHash))
    .flatMap(({ keyHash }) => (answered.has(keyHash) ? [] : [keyHash]));
  const said = witnesses.map((witness) => witness.said);
  const highest = (values: readonly bigint[]): bigint => values.reduce((a, b) => (a > b ? a : b), 0n);
  return {
    ...{ witnesses, silent },
    incarnation: Math.max(0, ...said.map((each) => each.incarnation)),
    promisedEpoch: highest(said.map((each) => each.promisedEpoch)),
    sequence: highest(said.map((each) => each.highestSequence)),
  };
};

export interface KnownLayouts {
  /** Unretired, ascending; empty when nobody knows a layout. */
  readonly stored: readonly StoredLayout[];
  readonly tables: readonly Layout[];
  readonly retiredUpTo: number;
}

/**
 * The layouts that nodes and registry know together, with the highest retirement anybody heard of. `conflict` when two
 * of one number differ: then nobody may go on until a person looked.
 */
export const layoutsOf = (
  core: MasterCore,
  witnesses: readonly Witness[],
  known: { readonly unretired: readonly StoredLayout[]; readonly retiredUpTo: number },
): KnownLayouts => {
  const { context } = core;
  const byNumber = new Map<number, { readonly stored: StoredLayout; readonly table: Layout }>();
  const records = [
    ...known.unretired.map(({ layout }) => layout),
    ...witnesses.flatMap(({ said }) => said.layouts.map((record) => record)),
  ];
  for (const record of records) {
    const table = verifyLayout(record);
    if (table.networkId !== context.networkId) throw new OperaError('wrong-network');
    if (context.rosters.roster.byKeyHash.get(table.signer)?.role !== 'master') {
      throw new OperaError('integrity', 'a layout is not signed by a master of this network');
    }
    const other = byNumber.get(table.number);
    if (other && !equalBytes(other.stored.layout.bytes, record.bytes)) {
      throw new OperaError('conflict', `nodes hold two layouts of number ${table.number}`);
    }
    byNumber.set(table.number, { stored: { number: table.number, layout: record }, table });
  }
  const newest = Math.max(0, ...byNumber.keys());
  const told = Math.max(known.retiredUpTo, ...witnesses.map(({ said }) => said.retiredUpTo));
  const retiredUpTo = Math.min(told, Math.max(0, newest - 1));
  const unretired = [...byNumber.values()]
    .filter(({ table }) => table.number > retiredUpTo)
    .sort((a, b) => a.table.number - b.table.number);
  return { stored: unretired.map(({ stored }) => stored), tables: unretired.map(({ table }) => table), retiredUpTo };
};

/** Those whose answers count. */
export const soundOnes = (witnesses: readonly Witness[]): Witness[] => witnesses.filter(({ said }) => said.sound);

/** What is told to people: nodes by their ids. */
export const namesOfNodes = (nodes: readonly KeyHash[]): string =>
  nodes
    .slice(0, 5)
    .map((node) => memberIdOf(node))
    .join(', ') + (nodes.length > 5 ? ` and ${nodes.length - 5} more` : '');

/** Nodes that the registry does not already count as down: a view may miss what they alone were told. */
export const unexpectedlySilent = (view: NodesView, members: readonly MemberRecord[]): KeyHash[] => {
  const away = new Set(
    members.filter(({ state }) => state === 'down' || state === 'out').map(({ keyHash }) => keyHash),
  );
  return view.silent.filter((node) => !away.has(node));
};
