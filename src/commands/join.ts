// `opera join`: makes this machine a client member (or an operator, when the code is for one). Repeating it after an
// interruption, with the same code, goes on with the same keys.
import { join } from 'node:path';
import { assertHomeFree, enterHome } from '../client/home.ts';
import { type Joined, type JoinOptions, joinNetwork } from '../client/join-network.ts';
import { isOperaError, OperaError } from '../errors/errors.ts';
import { prepareIdentity } from '../identity/identity-folder.ts';
import { parseJoinCode } from '../identity/join-code.ts';
import { formatTime } from '../runtime/clock.ts';
import { readJoinCode } from './_join-code.ts';
import { defineVerb } from './_verb.ts';

/** As a client; as an operator when the code turns out to be for one. */
const joinAsUser = async (options: Omit<JoinOptions, 'role'>): Promise<Joined> => {
  try {
    return await joinNetwork({ ...options, role: 'client' });
  } catch (error) {
    if (!isOperaError(error, 'forbidden')) throw error;
    const role = error.details?.role;
    if (role === 'operator') return joinNetwork({ ...options, role });
    if (typeof role !== 'string') throw error;
    throw new OperaError('forbidden', `the join code is for a ${role}`, {
      cause: error,
      hint: `Start it with the code: opera ${role} --home DIR --join-file FILE`,
    });
  }
};

export const command = defineVerb({
  examples: ['opera join opera1.…@10.0.0.1:7001', 'opera join - < CODE.txt', 'opera join --join-file CODE.txt'],
  arguments: [{ name: 'code', summary: 'the join code, - for standard input', optional: true }],
  flags: {
    joinFile: { type: 'path', placeholder: 'FILE', summary: 'file (mode 0600) that holds the join code, - for stdin' },
    identity: { type: 'path', placeholder: 'DIR', summary: 'folder of keys (default: HOME/identity)' },
  },
  run: async ({ io, args, flags, config, clock, signal }) => {
    const code = await readJoinCode({ code: args.code, file: flags.joinFile, stdin: () => io.stdin });
    if (code === undefined) throw new OperaError('usage', 'join needs a code, or --join-file with one');
    parseJoinCode(code);
    const { home } = config;
    const identityFolder = flags.identity ?? join(home, 'identity');
    await assertHomeFree(home, identityFolder);
    const keys = await prepareIdentity(identityFolder);
    const joined = await joinAsUser({ code, keys, addresses: [], clock, signal });
    const { identity } = await enterHome({ home, identityFolder, keys, joined });
    const { networkId, memberId, role, claims } = identity;
    await io.document(
      { network: networkId, memberId, role, home, certificateExpires: formatTime(claims.notAfterMs) },
      {
        id: memberId,
        facts: [
          ['network', networkId],
          ['member', memberId],
          ['role', role],
          ['home', home],
        ],
      },
    );
    io.note(`Try: opera ls${config.origins.home === 'default' ? '' : ` --home ${home}`}`);
  },
});
