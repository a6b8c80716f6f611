// Is there one order in which everything that clients saw makes sense? The algorithm of Wing and Gong with Lowe's
// memory of configurations (J. M. Wing, C. Gong, "Testing and Verifying Concurrent Objects", 1993; G. Lowe, "Testing
// for linearizability", 2017), for names that hold one value each: put, get, remove, rename, and their refusals.
// An operation whose answer never came may take effect at any time after its call, or never. Pure; no clock.

export type NameOperation =
  /** `ifAbsent` and `ifValue` are conditions on what the name holds; without them it replaces whatever is there. */
  | {
      readonly kind: 'put';
      readonly name: string;
      readonly value: string;
      readonly ifAbsent?: boolean;
      readonly ifValue?: string;
    }
  | { readonly kind: 'get'; readonly name: string; readonly value: string | undefined }
  /** What a listing says of one name. */
  | { readonly kind: 'has'; readonly name: string; readonly present: boolean }
  | { readonly kind: 'remove'; readonly name: string }
  /** Without `replace` the new name must be free. */
  | { readonly kind: 'rename'; readonly name: string; readonly to: string; readonly replace?: boolean };

export interface Call {
  readonly operation: NameOperation;
  /**
   * Places in the history: of any two events the earlier has the lower number. `end` of `unknown` counts for nothing.
   */
  readonly start: number;
  readonly end: number;
  /**
   * ok: it took effect and answered so; refused: the answer was that it cannot be, as the state was (`refusal` says in
   * which way), and it took no effect; unknown: it may have taken effect, or may yet.
   */
  readonly outcome: 'ok' | 'refused' | 'unknown';
  readonly refusal?: 'not-found' | 'exists' | 'conflict';
}

export type Verdict =
  | { readonly kind: 'linearizable' }
  /** `stuck` could not be placed after the longest order that was found. */
  | {
      readonly kind: 'violated';
      readonly names: readonly string[];
      readonly stuck: Call;
      readonly order: readonly Call[];
    }
  | { readonly kind: 'undecided'; readonly names: readonly string[] };

type State = ReadonlyMap<string, string>;

const withName = (state: State, name: string, value: string | undefined): State => {
  const next = new Map(state);
  if (value === undefined) next.delete(name);
  else next.set(name, value);
  return next;
};

const refused = (state: State, { operation, refusal }: Call): boolean => {
  const held = state.get(operation.name);
  if (refusal === 'not-found') return held === undefined;
  if (refusal === 'exists') return state.has(operation.kind === 'rename' ? operation.to : operation.name);
  return operation.kind === 'put' && operation.ifValue !== held;
};

/** The state after a call that took effect here; undefined when it cannot have done so here. */
const carryOut = (state: State, operation: NameOperation): State | undefined => {
  const { name } = operation;
  const held = state.get(name);
  switch (operation.kind) {
    case 'get':
      return held === operation.value ? state : undefined;
    case 'has':
      return (held !== undefined) === operation.present ? state : undefined;
    case 'put':
      if (operation.ifAbsent && held !== undefined) return undefined;
      if (operation.ifValue !== undefined && operation.ifValue !== held) return undefined;
      return withName(state, name, operation.value);
    case 'remove':
      return held === undefined ? undefined : withName(state, name, undefined);
    case 'rename':
      if (held === undefined || (!operation.replace && state.has(operation.to))) return undefined;
      return withName(withName(state, name, undefined), operation.to, held);
  }
};

const after = (state: State, call: Call): State | undefined => {
  if (call.outcome === 'refused') return refused(state, call) ? state : undefined;
  return carryOut(state, call.operation);
};

const keyOf = (placed: bigint, state: State): string =>
  `${placed.toString(36)} ${JSON.stringify([...state].sort(([a], [b]) => (a < b ? -1 : 1)))}`;

/** One set of names that renames tie together. */
const checkTogether = (names: readonly string[], calls: readonly Call[], configurationsMax: number): Verdict => {
  const endOf = ({ outcome, end }: Call): number => (outcome === 'unknown' ? Number.POSITIVE_INFINITY : end);
  // What is certain is tried before what may never have happened.
  const sorted = [...calls].sort((a, b) => endOf(a) - endOf(b) || a.start - b.start);
  const seen = new Set<string>();
  let longest: readonly Call[] = [];
  /** True when everything certain has its place; undefined when the search was given up. */
  const search = (placed: bigint, state: State, order: readonly Call[]): boolean | undefined => {
    const open = sorted.filter((_, at) => ((placed >> BigInt(at)) & 1n) === 0n);
    const earliest = open[0];
    if (!earliest || endOf(earliest) === Number.POSITIVE_INFINITY) return true;
    if (order.length > longest.length) longest = order;
    const key = keyOf(placed, state);
    if (seen.has(key)) return false;
    if (seen.size >= configurationsMax) return undefined;
    seen.add(key);
    for (const [at, call] of sorted.entries()) {
      // Whoever began after another had ended cannot come before it.
      if (((placed >> BigInt(at)) & 1n) === 1n || call.start > endOf(earliest)) continue;
      const next = after(state, call);
      if (!next) continue;
      const found = search(placed | (1n << BigInt(at)), next, [...order, call]);
      if (found !== false) return found;
    }
    return false;
  };
  const found = search(0n, new Map(), []);
  if (found) return { kind: 'linearizable' };
  if (found === undefined) return { kind: 'undecided', names };
  const placed = new Set(longest);
  const stuck = sorted.find((call) => !placed.has(call));
  if (!stuck) throw new Error('a history without an order has a call without a place');
  return { kind: 'violated', names, stuck, order: longest };
};

/** Names that renames tie together, as sets. */
const tiedNames = (calls: readonly Call[]): string[][] => {
  const groups = new Map<string, Set<string>>();
  for (const { operation } of calls) {
    const names = operation.kind === 'rename' ? [operation.name, operation.to] : [operation.name];
    const joined = new Set(names.flatMap((name) => [...(groups.get(name) ?? [name])]));
    for (const name of joined) groups.set(name, joined);
  }
  return [...new Set(groups.values())].map((group) => [...group].sort());
};

/**
 * Every name is empty at first. The first violation found, or `undecided` when a search grew beyond
 * `configurationsMax` configurations, or `linearizable`.
 */
export const checkLinearizable = (calls: readonly Call[], configurationsMax = 200_000): Verdict => {
  let verdict: Verdict = { kind: 'linearizable' };
  for (const names of tiedNames(calls)) {
    const own = calls.filter(({ operation }) => names.includes(operation.name));
    // A read without an answer says nothing.
    const told = own.filter(
      ({ outcome, operation: { kind } }) => outcome !== 'unknown' || (kind !== 'get' && kind !== 'has'),
    );
    const found = checkTogether(names, told, configurationsMax);
    if (found.kind === 'violated') return found;
    if (found.kind === 'undecided') verdict = found;
  }
  return verdict;
};

/** For people: one line a call. */
export const describeCall = ({ operation, outcome, refusal, start, end }: Call): string => {
  const { kind, name, ...rest } = operation;
  const what = Object.entries(rest).map(([key, value]) => `${key}=${String(value)}`);
  return `[${start}, ${outcome === 'unknown' ? '∞' : end}] ${[kind, name, ...what].join(' ')} → ${refusal ?? outcome}`;
};
