// What a mutant is: one guard of the sources broken on purpose, and the test that must fail then. A table of faults
// names for each fault that this program must stand the guards against it; `main.ts` breaks them one by one.

export interface Mutant {
  /** What is broken, as one would break it by mistake. */
  readonly story: string;
  readonly file: string;
  /** Stands exactly once in `file`. */
  readonly from: string;
  readonly to: string;
  /** The file of the test that notices. */
  readonly test: string;
  /** Part of the title of a test in it, as it stands in the source. */
  readonly title: string;
}

export interface Fault {
  /** The fault or bad input. */
  readonly fault: string;
  /** What must come of it. */
  readonly expected: string;
  readonly mutants: readonly Mutant[];
  /** Further tests of it, whose guard is broken inside of them, or which are here for their breadth. */
  readonly tests?: readonly Pick<Mutant, 'test' | 'title'>[];
}

export type FaultTable = Readonly<Record<string, Fault>>;
