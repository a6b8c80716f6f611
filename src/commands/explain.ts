// `opera explain CODE`: what an error code means, whether repeating may help, and what to do next.
// Everything comes from the error table and the advice table; without a code it lists them all.
import { type ErrorCode, errorTable, isErrorCode, OperaError } from '../errors/errors.ts';
import { nearestText } from '../model/nearest.ts';
import { advice } from './_advice.ts';
import { showToken } from './_parse.ts';
import { wrapText } from './_text.ts';
import { defineVerb } from './_verb.ts';

export const command = defineVerb({
  examples: ['opera explain write-quorum', 'opera explain            # all codes'],
  arguments: [{ name: 'code', summary: 'an error code, as in the field "code" of --json', optional: true }],
  run: async ({ io, args }) => {
    if (args.code === undefined) {
      await io.table(
        [
          { key: 'code', id: true, value: (code: ErrorCode) => code },
          { key: 'exit', kind: 'number', value: (code) => errorTable[code].exit },
          { key: 'retry', value: (code) => errorTable[code].retry },
          { key: 'title', value: (code) => errorTable[code].title },
        ],
        Object.keys(errorTable) as ErrorCode[],
      );
      return;
    }
    const { code } = args;
    if (!isErrorCode(code)) {
      const shown = JSON.stringify(showToken(code));
      const message = `there is no error code ${shown}${nearestText(code, Object.keys(errorTable))}`;
      throw new OperaError('not-found', message, { hint: 'All codes: opera explain' });
    }
    const { title, status, exit, retry } = errorTable[code];
    const { meaning, next } = advice[code];
    const again = retry ? 'may succeed later' : 'will fail again';
    await io.document(
      { code, title, meaning, next, exit, status, retry },
      {
        id: code,
        lines: [
          [['bold', code], `: ${title}`],
          ...wrapText(meaning, 78),
          ...wrapText(`Next: ${next}.`, 78),
          `Exit code ${exit}, HTTP status ${status}; the same request ${again}.`,
        ],
      },
    );
  },
});
