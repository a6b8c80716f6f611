// `opera token ls`: the join codes that were made, used and unused. The codes themselves are not kept anywhere.
import type { AnswerOf } from '../wire/routes.ts';
import { withConnection } from './_connection.ts';
import { defineVerb } from './_verb.ts';

type Token = AnswerOf<'token.list'>['tokens'][number];

export const command = defineVerb({
  examples: ['opera token ls', 'opera token ls --json'],
  run: async (context) => {
    const { io, signal, clock } = context;
    const { tokens } = await withConnection(context, (connection) => connection.call('token.list', {}, { signal }));
    const stateOf = ({ expiresMs, uses, usesMax }: Token): string => {
      if (uses >= usesMax) return 'used';
      return expiresMs <= clock.nowMs() ? 'expired' : 'open';
    };
    await io.table(
      [
        { key: 'tokenId', title: 'ID', id: true, value: (token: Token) => token.tokenId },
        { key: 'role', value: (token) => token.role },
        { key: 'state', value: stateOf, style: (token) => (stateOf(token) === 'open' ? 'good' : 'dim') },
        { key: 'uses', kind: 'number', value: (token) => token.uses },
        { key: 'usesMax', title: 'OF', kind: 'number', value: (token) => token.usesMax },
        { key: 'expires', kind: 'time', value: (token) => token.expiresMs },
        { key: 'createdBy', title: 'BY', value: (token) => token.createdBy },
      ],
      [...tokens].sort((a, b) => a.expiresMs - b.expiresMs),
    );
  },
});
