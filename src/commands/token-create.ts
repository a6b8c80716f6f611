// `opera token create`: makes a join code and prints the command that uses it. The code is printed once and kept
// nowhere: the network holds only its public key.
import { createInvitation } from '../client/invite.ts';
import { limits } from '../model/limits.ts';
import { type Role, roles } from '../model/roles.ts';
import { formatTime } from '../runtime/clock.ts';
import { withConnection } from './_connection.ts';
import { OperaError } from '../errors/errors.ts';
import { defineVerb } from './_verb.ts';

/** What the owner of the machine that joins types. */
const commandOf = (role: Role, code: string): string =>
  role === 'client' || role === 'operator' ? `opera join ${code}` : `opera ${role} --home DIR --join ${code}`;

export const command = defineVerb({
  examples: [
    'opera token create --role node',
    'opera token create --role client --ttl 10m -q    # the code only',
    'opera token create --role node --uses 5',
  ],
  usage: 'opera token create --role ROLE [FLAGS]',
  details: 'Whoever holds the code can join until it expires or is used up: pass it on as a secret.',
  flags: {
    role: { type: 'enum', options: [...roles] as readonly Role[], required: true, summary: 'what it lets join' },
    ttl: { type: 'duration', default: '1h', placeholder: 'TIME', summary: 'how long it is good, at most 30d' },
    uses: { type: 'number', default: 1, min: 1, max: 1_000, summary: 'how many machines may join with it' },
  },
  run: async (context) => {
    const { io, flags, signal } = context;
    const { role, uses, ttl: lifeMs } = flags;
    if (lifeMs < 1_000 || lifeMs > limits.joinTokenLifeMaxMs) {
      throw new OperaError('usage', '--ttl must be from 1s to 30d');
    }
    const { code, token } = await withConnection(context, (connection) =>
      createInvitation(connection, { role, lifeMs, uses, signal }),
    );
    const line = commandOf(role, code);
    const expires = formatTime(token.expiresMs);
    await io.document(
      { code, command: line, tokenId: token.tokenId, role, uses, expires },
      { id: code, lines: [line] },
    );
    io.note(`Good until ${expires} for ${uses === 1 ? 'one machine' : `${uses} machines`}.`);
  },
});
