// Cases that are played before any test is registered. From the first `test()` on the runner's hooks sit on every
// promise, which takes a third of the time of simulations, since they do little but await. `describe` and `test` only
// note what there is; a file ends with
//
//     for (const [title, verdict] of await played()) register(title, verdict);
//
// where `register` is the `test` of node:test. A file without that line has no tests, which the runner takes for a
// failure. There are no hooks, options or nesting.

/** Throws what the case threw. */
type Verdict = () => void;

interface Case {
  readonly title: string;
  readonly body: () => void | Promise<void>;
}

const cases: Case[] = [];
let group = '';

/** Cases below get this in front of their titles. */
export const describe = (title: string, body: () => void): void => {
  group = `${title}: `;
  body();
  group = '';
};

export const test = (title: string, body: () => void | Promise<void>): void => {
  cases.push({ title: `${group}${title}`, body });
};

const play = async ({ title, body }: Case): Promise<readonly [title: string, verdict: Verdict]> => {
  try {
    await body();
  } catch (error) {
    const verdict = (): never => {
      throw error;
    };
    return [title, verdict];
  }
  return [title, () => undefined];
};

/** Plays what was noted, one case after the other, and answers how each ended. */
export const played = async (): Promise<readonly (readonly [title: string, verdict: Verdict])[]> => {
  const verdicts: (readonly [string, Verdict])[] = [];
  for (const each of cases.splice(0)) verdicts.push(await play(each));
  return verdicts;
};
