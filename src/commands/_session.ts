// What the verbs about files share: a session for one verb, names from arguments, lists of what failed.
import { createSession, type Session } from '../client/session.ts';
import { listFiles } from '../client/names.ts';
import { findFiles, type LookOptions } from '../client/open-file.ts';
import { errorTable, OperaError } from '../errors/errors.ts';
import { isGlob, parseGlob } from '../model/glob.ts';
import { isName, parseName } from '../model/names.ts';
import { withConnection } from './_connection.ts';
import type { Output } from './_output.ts';
import type { VerbBase } from './_verb.ts';

/** Opens the profile in use for one verb; what was seen is kept, whatever happens. */
export const withSession = <T>(context: VerbBase, use: (session: Session) => Promise<T>): Promise<T> =>
  withConnection(context, async (connection) => {
    const session = await createSession(connection);
    try {
      return await use(session);
    } finally {
      // A memory that cannot be written must not turn what was done into a failure.
      await session.seen.save().catch(() => undefined);
    }
  });

/** On a terminal, where one may have forgotten which profile is in use. */
export const nameNetwork = (io: Output, session: Session): void => {
  if (io.isTerminal) io.note(`network ${session.networkId}`);
};

export interface Meant {
  readonly names: readonly string[];
  /** Arguments that mean no file and are no globs: each is a failure of its own, and the others are done. */
  readonly absent: readonly string[];
  /** True when one exact name was given: the answer is about that file, not about a selection. */
  readonly exact: boolean;
}

const collect = async (session: Session, query: Parameters<typeof listFiles>[1]): Promise<string[]> => {
  const names: string[] = [];
  for await (const { name } of listFiles(session, query)) names.push(name);
  return names;
};

/** Names one argument means when no file has that very name: what the glob matches, with -r what is below it. */
const selectNames = async (
  session: Session,
  argument: string,
  recursive: boolean,
  options: LookOptions,
): Promise<readonly string[]> => {
  if (isGlob(argument)) {
    const glob = parseGlob(argument);
    return collect(session, { prefix: glob.prefix, accept: (name) => glob.matches(name), ...options });
  }
  const folder = parseName(recursive ? argument.replace(/\/+$/, '') : argument);
  return recursive ? collect(session, { prefix: `${folder}/`, ...options }) : [];
};

/** What the arguments mean, each name once, in the order given. An exact name wins over a glob. */
export const meantNames = async (
  session: Session,
  args: readonly string[],
  recursive: boolean,
  options: LookOptions,
): Promise<Meant> => {
  const possible = args.map((argument) => argument.normalize('NFC'));
  const asked = [...new Set(possible.filter(isName))];
  const found = await findFiles(session, asked, options);
  const exact = new Set(asked.filter((_, at) => found[at] !== undefined));
  const [names, absent] = [new Set<string>(), new Set<string>()];
  for (const [at, argument] of args.entries()) {
    const name = possible[at] ?? '';
    const isExact = exact.has(name);
    if (isExact) names.add(name);
    if (isExact && (!recursive || isGlob(argument))) continue;
    const selected = await selectNames(session, argument, recursive, options);
    if (selected.length === 0 && !isExact && !isGlob(argument)) absent.add(argument);
    for (const one of selected) names.add(one);
  }
  const isOne = args.length === 1 && names.size === 1 && exact.has(possible[0] ?? '');
  return { names: [...names], absent: [...absent], exact: isOne };
};

export const emptyFlag = {
  failEmpty: { type: 'boolean', summary: 'exit 9 when nothing matches' },
} as const;

export const staleFlag = {
  staleOk: {
    type: 'boolean',
    summary: 'while the registry is out of reach, take what nodes know: it may be behind',
  },
} as const;

/** Says that a selection is empty; `nothing-matched` when the user wants that to be an error. */
export const reportEmpty = (io: Output, failEmpty: boolean): void => {
  if (failEmpty) throw new OperaError('nothing-matched', 'no name matches');
  io.note('no name matches');
};

/** Counts the fates of many and tells at the end. */
export class Fates {
  readonly #io: Output;
  readonly #errors: OperaError[] = [];
  readonly #total: number;
  #done = 0;

  constructor(io: Output, total: number) {
    this.#io = io;
    this.#total = total;
  }

  succeeded(): void {
    this.#done++;
  }

  failed(name: string, error: OperaError): void {
    this.#errors.push(error);
    // The error of a single file is what the command ends with.
    if (this.#total > 1)
      this.#io.warn(error.message.startsWith(`${name}: `) ? error.message : `${name}: ${error.message}`);
  }

  /** Arguments of the command line that mean no file. */
  absent(args: readonly string[], recursive = false): void {
    for (const argument of args) {
      const why = this.#total > 1 ? 'no file has that name' : `no file is named ${argument}`;
      this.failed(argument, new OperaError('not-found', recursive ? `${why}, and none is below it` : why));
    }
  }

  /** Throws the one error, the error that all share, or `partial` naming how many failed. */
  end(what: string): void {
    const [first] = this.#errors;
    if (!first) return;
    const failed = this.#errors.length;
    const shared = this.#done === 0 && this.#errors.every(({ code }) => code === first.code);
    if (shared && failed === 1) throw first;
    if (shared && first.code !== 'bad-name' && first.code !== 'partial') {
      throw new OperaError(first.code, `none of ${failed} files was ${what}: ${errorTable[first.code].title}`, {
        cause: first,
      });
    }
    throw new OperaError('partial', `${failed} of ${failed + this.#done} files were not ${what}`, {
      hint: 'They are listed above',
    });
  }
}

/** A list that is printed while it grows. */
export class Rows<Row> implements AsyncIterable<Row> {
  readonly #rows: Row[] = [];
  #ended = false;
  #wake: () => void = () => undefined;

  push(row: Row): void {
    this.#rows.push(row);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Row, void, void> {
    for (;;) {
      const row = this.#rows.shift();
      if (row !== undefined) yield row;
      else if (this.#ended) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}

/** Runs `work`, printing the rows it makes as they come; ends the list whatever happens. */
export const printWhile = async <Row>(
  rows: Rows<Row>,
  print: (rows: Rows<Row>) => Promise<unknown>,
  work: () => Promise<void>,
): Promise<void> => {
  const printed = print(rows);
  // A failed print (a closed pipe) aborts the verb's signal and with it the work; it must not be unhandled until then.
  printed.catch(() => undefined);
  try {
    await work();
  } finally {
    rows.end();
    await printed;
  }
};
