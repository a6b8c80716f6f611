// Questions about star systems in a simulation. Every catalogue that is put has rows unlike any other, so an answer
// tells which versions it was made from; and it has to be exactly that of the catalogues which were live at one moment
// between the question (or the life of a shared snapshot before it) and its answer, each row once. Which moments there
// were says the watch, from the steps of the database.
import type { Connection } from '../../src/client/connection.ts';
import { queryStars, type StarAnswer } from '../../src/client/query.ts';
import type { Session } from '../../src/client/session.ts';
import { isOperaError } from '../../src/errors/errors.ts';
import type { QueryText } from '../../src/index/query.ts';
import type { VersionId } from '../../src/model/ids.ts';
import type { SeededRandom } from '../support/seeded.ts';

/** Names of catalogues and their versions. */
export type Moment = ReadonlyMap<string, VersionId>;

interface Star {
  readonly name: string;
  readonly dec: number;
}

interface Question {
  readonly text: QueryText;
  /** The one catalogue that is asked. */
  readonly only?: string;
  readonly partial?: boolean;
  readonly wants: (star: Star) => boolean;
}

const header = 'name,ra,dec\n';
const rowsMax = 3;
const starName = (content: number, row: number): string => `put ${content} row ${row}`;

/** The bytes of a small catalogue; `content` is unlike that of any other. */
export const catalogueText = (content: number, random: SeededRandom): string => {
  const rows = 1 + random.below(rowsMax);
  const rowOf = (row: number): string => `${starName(content, row)},${random.below(360)},${random.below(90)}\n`;
  return header + Array.from({ length: rows }, (_, row) => rowOf(row)).join('');
};

const starsOf = (text: string): Star[] => {
  if (!text.startsWith(header)) return [];
  const rows = text.slice(header.length).trimEnd().split('\n');
  return rows.map((row) => row.split(',')).map(([name = '', , dec]) => ({ name, dec: Number(dec) }));
};

/** Rows of a catalogue at one moment, as one text each. */
const linesAt = (name: string, version: VersionId, stars: readonly Star[]): string[] =>
  stars.map((star) => `${name} ${version} ${star.name}`);

export const describeAnswer = ({ count, rows, missing }: StarAnswer): string => {
  const texts = rows.map(({ file, system }) => `${file}: ${String(system.values.name)}`);
  const without = missing.map(({ file }) => `, without ${file}`);
  return `${count} (${texts.join(', ')}${without.join('')})`;
};

export class Questions {
  /** What stands in each version that was ever opened for a put; undefined for what is no catalogue. */
  readonly #contents = new Map<VersionId, readonly Star[]>();
  readonly #putting = new Map<Session, string>();

  /** Notes which versions the session's puts get; the session is changed. */
  follow(session: Session): void {
    const { connection } = session;
    const call: Connection['call'] = connection.call.bind(connection);
    const following: Connection['call'] = async (route, request, options) => {
      const answer = await call(route, request, options);
      if (route !== 'upload.open') return answer;
      const { uploads } = answer as { readonly uploads: readonly { readonly version: VersionId }[] };
      const stars = starsOf(this.#putting.get(session) ?? '');
      for (const { version } of uploads) this.#contents.set(version, stars);
      return answer;
    };
    Object.assign(connection, { call: following });
  }

  /** The session puts this next; each session puts one thing at a time. */
  begins(session: Session, content: string): void {
    this.#putting.set(session, content);
  }

  /** Something to ask, of `contents` puts so far. */
  draw(random: SeededRandom, names: readonly string[], contents: number): Question {
    const all = { wants: () => true };
    const dec = random.below(90);
    const star = starName(random.below(contents + 1), random.below(rowsMax));
    const only = random.pick(names);
    return random.pick<Question>([
      { ...all, text: { columns: 'name' } },
      { ...all, text: { columns: 'name', sort: '-dec' }, partial: true },
      { ...all, text: { count: true } },
      { ...all, text: { columns: 'name' }, only },
      { text: { columns: 'name', find: star }, wants: ({ name }) => name === star },
      { text: { count: true, where: `dec >= ${dec}` }, wants: (found) => found.dec >= dec },
    ]);
  }

  /** Everything there is. */
  readonly everything: Question = { text: { columns: 'name' }, wants: () => true };

  async ask(session: Session, { text, only, partial = false }: Question): Promise<StarAnswer | 'not-found'> {
    try {
      return await queryStars(session, text, { partial, ...(only === undefined ? {} : { in: [only] }) });
    } catch (error) {
      if (only !== undefined && isOperaError(error, 'not-found')) return 'not-found';
      throw error;
    }
  }

  /** Why the answer is that of no moment; undefined when it is. */
  doubt(question: Question, answer: StarAnswer | 'not-found', moments: readonly Moment[]): string | undefined {
    if (moments.some((moment) => this.#isOf(moment, question, answer))) return undefined;
    const told = answer === 'not-found' ? answer : describeAnswer(answer);
    const live = moments.map((moment) => [...moment].map(([name, version]) => `${name} ${version.slice(0, 6)}`));
    const lines = live.map((names) => names.join(', ') || 'nothing');
    return `${JSON.stringify(question)} got the answer of no moment: ${told}; there were\n${lines.join('\n')}`;
  }

  #isOf(moment: Moment, { text, only, wants }: Question, answer: StarAnswer | 'not-found'): boolean {
    if (answer === 'not-found') return only !== undefined && !moment.has(only);
    if (only !== undefined && !moment.has(only)) return false;
    const missing = new Set<string>(answer.missing.map(({ version }) => version));
    const asked = [...moment].filter(([name]) => only === undefined || name === only);
    if ([...missing].some((version) => !asked.some(([, live]) => live === version))) return false;
    const expected = asked.flatMap(([name, version]) => {
      const stars = this.#contents.get(version);
      if (!stars) throw new Error(`${name} is the version ${version}, which nobody put`);
      return missing.has(version) ? [] : linesAt(name, version, stars.filter(wants));
    });
    if (answer.count !== expected.length) return false;
    if (text.count === true) return true;
    const told = answer.rows.map(({ file, id, system }) => `${file} ${id.version} ${String(system.values.name)}`);
    return told.sort().join('\n') === expected.sort().join('\n');
  }
}
