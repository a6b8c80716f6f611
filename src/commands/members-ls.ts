// `opera members ls`: every member the network ever had, with role, state and where it is reached.
import { roles } from '../model/roles.ts';
import type { AnswerOf } from '../wire/routes.ts';
import { withConnection } from './_connection.ts';
import { defineVerb } from './_verb.ts';

type Member = AnswerOf<'member.list'>['members'][number];

const stateOf = ({ revoked, state }: Member): string => (revoked ? 'revoked' : state);

export const command = defineVerb({
  examples: ['opera members ls', 'opera members ls --role node', 'opera members ls --all --json'],
  flags: {
    role: { type: 'enum', options: [...roles], summary: 'only this role' },
    all: { type: 'boolean', summary: 'revoked members, too' },
  },
  run: async (context) => {
    const { io, flags, signal } = context;
    const { members } = await withConnection(context, (connection) => connection.call('member.list', {}, { signal }));
    const wanted = members.filter(
      (member) => (flags.all || !member.revoked) && (flags.role === undefined || member.role === flags.role),
    );
    await io.table(
      [
        { key: 'memberId', title: 'ID', id: true, value: (member: Member) => member.memberId },
        { key: 'role', value: (member) => member.role },
        {
          key: 'state',
          value: stateOf,
          style: (member) => (member.revoked || member.state === 'down' || member.state === 'out' ? 'bad' : 'good'),
        },
        { key: 'addresses', value: (member) => member.addresses },
        { key: 'zone', value: (member) => member.zone },
        { key: 'joined', kind: 'time', value: (member) => (member.joinedMs > 0 ? member.joinedMs : undefined) },
        {
          key: 'certificateExpires',
          title: 'CERTIFICATE UNTIL',
          kind: 'time',
          value: (member) => (member.certificateExpiresMs > 0 ? member.certificateExpiresMs : undefined),
        },
      ],
      wanted,
    );
  },
});
