// `opera members revoke`: cuts a member off for good. Waits for the roles' confirmations and names those that have not
// confirmed (exit 6): they refuse the member as soon as they hear of it.
import { OperaError } from '../errors/errors.ts';
import { operationIdFromBytes } from '../model/ids.ts';
import { holdsNetworkKeys } from '../model/roles.ts';
import type { AnswerOf } from '../wire/routes.ts';
import { withConnection } from './_connection.ts';
import { destructiveFlags } from './_flags.ts';
import { rotate } from './_rotation.ts';
import { defineVerb } from './_verb.ts';

type Member = AnswerOf<'member.list'>['members'][number];

/** The member with this id, or the only one whose id begins so. */
const findMember = (members: readonly Member[], id: string): Member => {
  const found = members.filter(({ memberId }) => memberId === id || (id.length >= 4 && memberId.startsWith(id)));
  const [member, another] = found;
  if (!member) {
    throw new OperaError('not-found', `no member has the id ${JSON.stringify(id)}`, { hint: 'See opera members ls' });
  }
  if (another) throw new OperaError('usage', `${found.length} members have ids that begin with ${JSON.stringify(id)}`);
  return member;
};

export const command = defineVerb({
  examples: ['opera members revoke 7f3k…', 'opera members revoke 7f3k… --yes'],
  details:
    'A revoked member never comes back with the same key. It keeps the network keys it had: it can open sealed bytes ' +
    'that it kept, and gets none from the network any more. With --rotate a new epoch of the network key begins at ' +
    'once, which the member cannot open; without it `opera keys rotate` does so later, once for several revocations.',
  arguments: [{ name: 'id', summary: 'id of the member, or its first characters' }],
  flags: {
    ...destructiveFlags,
    rotate: { type: 'boolean', summary: 'begin a new epoch of the network key as well' },
  },
  run: async (context) => {
    const { io, args, flags, signal } = context;
    await withConnection(context, async (connection) => {
      const { members } = await connection.call('member.list', {}, { signal });
      const { memberId, role } = findMember(members, args.id);
      const { networkId, memberId: self } = connection.identity();
      if (flags.dryRun) {
        await io.record({ memberId, role, revoked: false }, `would revoke the ${role} ${memberId}`, memberId);
        return;
      }
      const whom = memberId === self ? `yourself (the ${role} ${memberId})` : `the ${role} ${memberId}`;
      await io.confirm(`Revoke ${whom} of network ${networkId} for good?`);
      const operationId = operationIdFromBytes(connection.random.bytes(16));
      const answer = await connection.call('member.revoke', { memberId, operationId }, { signal });
      const { confirmed, unconfirmed, rosterNumber } = answer;
      const heldKeys = holdsNetworkKeys(role);
      // After the revocation: its roster lists who gets a box. The member is cut off even when this fails.
      const epoch = flags.rotate && heldKeys ? (await rotate(connection, signal)).keyEpoch : undefined;
      const rotated = epoch === undefined ? '' : `; key epoch ${epoch} is in force`;
      await io.document(
        {
          ...{ memberId, role, revoked: true, rosterNumber: String(rosterNumber), confirmed, unconfirmed },
          ...(epoch === undefined ? {} : { epoch }),
        },
        { id: memberId, lines: [`revoked the ${role} ${memberId}; confirmed by ${confirmed.length}${rotated}`] },
      );
      if (heldKeys && epoch === undefined) io.note('It held the network key. Next: opera keys rotate');
      if (unconfirmed.length > 0) {
        throw new OperaError('partial', `not confirmed yet by ${unconfirmed.join(', ')}`, {
          hint: 'They refuse the member as soon as they are reached',
        });
      }
    });
  },
});
