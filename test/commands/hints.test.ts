// Verbs that hints and documents tell people to type: each must exist, or the advice leads nowhere.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { advice } from '../../src/commands/_advice.ts';
import { isGroup, verbTable } from '../../src/commands/_verbs.ts';

/** Why the words behind `opera` are no verb, if so. `help` is the front's own. */
const faultOf = (first: string, second: string | undefined): string | undefined => {
  if (first === 'help') return undefined;
  const entry = verbTable[first];
  if (!entry) return `opera ${first}`;
  const known = !isGroup(entry) || (second !== undefined && entry.verbs[second] !== undefined);
  return known ? undefined : `opera ${first} ${second ?? ''}`;
};

const faultsIn = (commands: readonly string[]): string[] =>
  commands.flatMap((command) => {
    const [, first, second] = /^opera ([a-z]+)(?: ([a-z]+))?/.exec(command) ?? [];
    return first === undefined ? [] : (faultOf(first, second) ?? []);
  });

/** Commands of a page: lines of fenced blocks, and texts in backquotes outside of them. */
const commandsOf = (text: string): string[] =>
  text
    .split('```')
    .flatMap((part, at) => [...part.matchAll(at % 2 === 1 ? /(?:^|; )(?:npx )?(opera .*)/gm : /`(opera [^`]*)`/g)])
    .map((match) => match[1] ?? '');

const documents = ['.', 'docs', 'docs/decisions'].flatMap((folder) =>
  readdirSync(folder)
    .filter((file) => file.endsWith('.md'))
    .map((file) => `${folder}/${file}`),
);

test('every verb that an advice names exists', () => {
  for (const [code, { meaning, next }] of Object.entries(advice)) {
    const named = [...`${meaning} ${next}`.matchAll(/\bopera [a-z]+(?: [a-z]+)?/g)].map(([text]) => text);
    assert.deepEqual(faultsIn(named), [], code);
  }
});

test('every verb that a document shows exists', () => {
  for (const path of documents) assert.deepEqual(faultsIn(commandsOf(readFileSync(path, 'utf8'))), [], path);
  assert.deepEqual(faultsIn(commandsOf('`opera fly`\n```\nopera token sell\nopera put x; opera ls\n```\nopera is')), [
    'opera fly',
    'opera token sell',
  ]);
});
