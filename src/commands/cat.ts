// `opera cat`: files of the network on standard output, one after the other, as fast as the reader takes them.
import { fetchFile, parseRange, resolveRange } from '../client/get.ts';
import { resolveName } from '../client/open-file.ts';
import { OperaError } from '../errors/errors.ts';
import { emptyFlag, Fates, meantNames, reportEmpty, staleFlag, withSession } from './_session.ts';
import { defineVerb } from './_verb.ts';

export const command = defineVerb({
  examples: ['opera cat stars.csv | head', "opera cat 'survey/*.csv' > all.csv", 'opera cat stars.csv --range -1024'],
  arguments: [{ name: 'name', summary: 'names or quoted globs', variadic: true }],
  flags: {
    range: { type: 'string', placeholder: 'A-B', summary: 'only these bytes: A-B (inclusive), A- or -N' },
    ...staleFlag,
    ...emptyFlag,
  },
  run: async (context) => {
    const { args, io, signal, flags } = context;
    const asked = flags.range === undefined ? undefined : parseRange(flags.range);
    await withSession(context, async (session) => {
      const options = { signal, staleOk: flags.staleOk };
      const { names, absent } = await meantNames(session, args.name, false, options);
      if (names.length + absent.length === 0) return reportEmpty(io, flags.failEmpty);
      if (asked && names.length + absent.length > 1) throw new OperaError('usage', '--range is for one file');
      const fates = new Fates(io, names.length + absent.length);
      fates.absent(absent);
      for (const name of names) {
        const { file, plan } = await resolveName(session, name, options);
        const range = asked && resolveRange(asked, file.geometry.size);
        for await (const bytes of fetchFile(session, plan, file, range, { signal })) await io.bytes(bytes);
        fates.succeeded();
      }
      fates.end('read');
    });
  },
});
