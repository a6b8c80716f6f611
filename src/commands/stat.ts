// `opera stat`: the facts of one file, from its sealed record.
import { statFile } from '../client/names.ts';
import { wrapEpochOf } from '../crypto/wrap.ts';
import { staleFlag, withSession } from './_session.ts';
import { defineVerb } from './_verb.ts';

export const command = defineVerb({
  examples: ['opera stat survey/stars.csv', 'opera stat survey/stars.csv --json', 'opera stat survey/stars.csv -q'],
  details: 'With -q it prints the version alone, as `opera put --if-version` takes it.',
  arguments: [{ name: 'name', summary: 'name of a file' }],
  flags: { ...staleFlag },
  run: (context) =>
    withSession(context, async (session) => {
      const { args, io, signal, flags } = context;
      const { name, record, content } = await statFile(session, args.name, {
        signal,
        staleOk: flags.staleOk,
      });
      const { version, sequence, chunkCount, wrap } = record;
      const { size, type, created, modified, chunkRecords } = content;
      const records = chunkRecords?.reduce((sum, count) => sum + count, 0);
      const keyEpoch = wrapEpochOf(wrap);
      await io.document(
        {
          name,
          size,
          version,
          sequence,
          chunks: chunkCount,
          created,
          modified: modified ?? null,
          type: type ?? null,
          catalogue: chunkRecords !== undefined,
          records: records ?? null,
          keyEpoch,
        },
        {
          id: version,
          facts: [
            ['name', name],
            ['size', size, 'bytes'],
            ['version', version],
            ['sequence', sequence],
            ['chunks', chunkCount],
            ['created', created],
            ['modified', modified],
            ...(type === undefined ? [] : ([['type', type]] as const)),
            ...(records === undefined
              ? []
              : ([
                  ['catalogue', true],
                  ['records', records],
                ] as const)),
            ['key epoch', keyEpoch],
          ],
        },
      );
    }),
});
