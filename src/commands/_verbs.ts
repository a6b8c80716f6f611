// The table of verbs: name, summary, and where its code is. Modules are loaded only when their verb runs, so that
// `opera --version` starts as fast as an empty script. Tables have no prototype: `opera toString` is unknown.
// A group has sub-verbs instead of code: `opera token create`.
import { OperaError } from '../errors/errors.ts';
import { nearestText } from '../model/nearest.ts';
import { showToken } from './_parse.ts';
import type { Verb } from './_verb.ts';

/** In the order of the overview. */
export const sections = [
  'Files',
  'Star systems',
  'Networks',
  'Members and nodes',
  'Watching and mending',
  'Help',
] as const;
export type Section = (typeof sections)[number];

export interface VerbEntry {
  readonly summary: string;
  readonly section: Section;
  readonly load: () => Promise<Verb>;
}
export interface GroupEntry {
  readonly summary: string;
  readonly section: Section;
  readonly verbs: Readonly<Record<string, VerbEntry>>;
}
export type Entry = VerbEntry | GroupEntry;
export type VerbTable = Readonly<Record<string, Entry>>;

const verb = (section: Section, summary: string, load: () => Promise<{ readonly command: Verb }>): VerbEntry => ({
  section,
  summary,
  load: async () => (await load()).command,
});

const table = <T>(entries: Readonly<Record<string, T>>): Readonly<Record<string, T>> =>
  Object.assign(Object.create(null) as Record<string, T>, entries);

const group = (section: Section, summary: string, verbs: Readonly<Record<string, VerbEntry>>): GroupEntry => ({
  section,
  summary,
  verbs: table(verbs),
});

export const verbTable: VerbTable = table<Entry>({
  put: verb('Files', 'put files, folders or standard input in', () => import('./put.ts')),
  get: verb('Files', 'get files into local files', () => import('./get.ts')),
  cat: verb('Files', 'print files on standard output', () => import('./cat.ts')),
  ls: verb('Files', 'list names', () => import('./ls.ts')),
  stat: verb('Files', 'the facts of one file', () => import('./stat.ts')),
  where: verb('Files', 'where the copies of a file are', () => import('./where.ts')),
  rm: verb('Files', 'remove files', () => import('./rm.ts')),
  mv: verb('Files', 'give files other names', () => import('./mv.ts')),
  query: verb('Star systems', 'ask for star systems by expression', () => import('./query.ts')),
  cone: verb('Star systems', 'around a point on the sky', () => import('./cone.ts')),
  near: verb('Star systems', 'around a star in space', () => import('./near.ts')),
  find: verb('Star systems', 'everything known under a name', () => import('./find.ts')),
  up: verb('Networks', 'bring up a whole network on this machine', () => import('./up.ts')),
  down: verb('Networks', 'end a network that `up` brought up', () => import('./down.ts')),
  demo: verb('Networks', 'see it work: real data, a killed node', () => import('./demo.ts')),
  gateway: verb('Networks', 'run this machine as a gateway', () => import('./gateway.ts')),
  master: verb('Networks', 'run this machine as a master', () => import('./master.ts')),
  sentinel: verb('Networks', 'run this machine as a sentinel', () => import('./sentinel.ts')),
  node: verb('Networks', 'run this machine as a node', () => import('./node.ts')),
  init: verb('Networks', 'found a network', () => import('./init.ts')),
  join: verb('Networks', 'make this machine a client of a network', () => import('./join.ts')),
  whoami: verb('Members and nodes', 'which member lives here, and until when', () => import('./whoami.ts')),
  token: group('Members and nodes', 'join codes', {
    create: verb('Members and nodes', 'make a join code', () => import('./token-create.ts')),
    ls: verb('Members and nodes', 'list join codes', () => import('./token-ls.ts')),
    rm: verb('Members and nodes', 'take join codes back', () => import('./token-rm.ts')),
  }),
  members: group('Members and nodes', 'members of the network', {
    ls: verb('Members and nodes', 'list members', () => import('./members-ls.ts')),
    revoke: verb('Members and nodes', 'cut a member off for good', () => import('./members-revoke.ts')),
  }),
  keys: group('Members and nodes', 'network keys and recovery', {
    ls: verb('Members and nodes', 'list the epochs of the network key', () => import('./keys-ls.ts')),
    rotate: verb('Members and nodes', 'begin a new epoch of the network key', () => import('./keys-rotate.ts')),
    export: verb('Members and nodes', 'write a recovery kit', () => import('./keys-export.ts')),
  }),
  nodes: group('Members and nodes', 'nodes of the network', {
    ls: verb('Members and nodes', 'list nodes with state, zone and use', () => import('./nodes-ls.ts')),
    drain: verb('Members and nodes', 'empty a node so that it can be removed', () => import('./nodes-drain.ts')),
    resume: verb('Members and nodes', 'take a drain or a removal back', () => import('./nodes-resume.ts')),
    rm: verb('Members and nodes', 'remove a node', () => import('./nodes-rm.ts')),
  }),
  registry: group('Watching and mending', 'the database of names, members and layouts', {
    rebuild: verb('Watching and mending', 'put it back from the nodes', () => import('./registry-rebuild.ts')),
  }),
  index: group('Watching and mending', "the nodes' indexes of star systems", {
    ls: verb('Watching and mending', 'how far the index is on each node', () => import('./index-ls.ts')),
    rebuild: verb('Watching and mending', 'build it anew from the chunks', () => import('./index-rebuild.ts')),
  }),
  status: verb('Watching and mending', 'health of the network and why', () => import('./status.ts')),
  verify: verb('Watching and mending', 'read copies and check them', () => import('./verify.ts')),
  repair: verb('Watching and mending', 'what is being repaired; check everything now', () => import('./repair.ts')),
  inspect: verb('Watching and mending', "open a node's files on this machine", () => import('./inspect.ts')),
  events: verb('Watching and mending', 'what happened: failures, repairs, members', () => import('./events.ts')),
  config: group('Help', 'settings and where they come from', {
    view: verb('Help', 'print each setting with its origin', () => import('./config-view.ts')),
  }),
  explain: verb('Help', 'what an error code means and what to do', () => import('./explain.ts')),
  completion: verb('Help', 'print a completion script for a shell', () => import('./completion.ts')),
  version: verb('Help', 'print the version', () => import('./version.ts')),
});

export const isGroup = (entry: Entry): entry is GroupEntry => 'verbs' in entry;

/** A verb or group by the words that name it. */
export interface FoundVerb {
  /** `token create`; empty for the program itself. */
  readonly path: string;
  readonly entry: Entry;
}

const unknown = (what: string, token: string, known: Readonly<Record<string, unknown>>): OperaError =>
  new OperaError(
    'usage',
    `unknown ${what} ${JSON.stringify(showToken(token))}${nearestText(token, Object.keys(known))}`,
  );

/** The entry named by one or two words; a group when the second is missing. Throws `usage` for an unknown word. */
export const findVerb = (verbs: VerbTable, first: string, second: string | undefined): FoundVerb => {
  const entry = verbs[first];
  if (!entry) throw unknown('verb', first, verbs);
  if (!isGroup(entry) || second === undefined) return { path: first, entry };
  const inner = entry.verbs[second];
  if (!inner) throw unknown(`sub-verb of ${first}`, second, entry.verbs);
  return { path: `${first} ${second}`, entry: inner };
};
