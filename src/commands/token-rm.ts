// `opera token rm`: takes join codes back. Members that joined with them stay members.
import { OperaError } from '../errors/errors.ts';
import { withConnection } from './_connection.ts';
import { destructiveFlags } from './_flags.ts';
import { defineVerb } from './_verb.ts';

export const command = defineVerb({
  examples: ['opera token rm 3f0c…', 'opera token ls -q | xargs opera token rm --yes'],
  arguments: [{ name: 'id', summary: 'id of a join code, as `token ls` shows it', variadic: true }],
  flags: destructiveFlags,
  run: async (context) => {
    const { io, args, flags, signal } = context;
    await withConnection(context, async (connection) => {
      const ids = [...new Set(args.id)];
      const bad = ids.find((id) => !/^[0-9a-f]{32}$/.test(id));
      if (bad !== undefined) throw new OperaError('usage', `${JSON.stringify(bad)} is not the id of a join code`);
      const network = connection.identity().networkId;
      if (!flags.dryRun) {
        const what = ids.length === 1 ? 'a join code' : `${ids.length} join codes`;
        await io.confirm(`Remove ${what} of network ${network}?`);
      }
      const missing: string[] = [];
      for (const tokenId of ids) {
        if (flags.dryRun) {
          await io.record({ tokenId, removed: false }, `would remove ${tokenId}`, tokenId);
          continue;
        }
        const { removed } = await connection.call('token.remove', { tokenId }, { signal });
        if (removed) await io.record({ tokenId, removed }, `removed ${tokenId}`, tokenId);
        else missing.push(tokenId);
      }
      if (missing.length > 0) throw new OperaError('not-found', `no such join code: ${missing.join(', ')}`);
    });
  },
});
