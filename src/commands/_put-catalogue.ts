// What `put` does about star systems: the flags as options of the library, the second progress bar, and what is told of
// records that are odd or not in the index.
import type { CatalogueOptions } from '../client/catalogue.ts';
import type { PutResult } from '../client/put.ts';
import { OperaError } from '../errors/errors.ts';
import { faultText } from '../index/star-system.ts';
import { formatCount, groupDigits } from '../model/units.ts';
import type { Output } from './_output.ts';
import type { Progress } from './_progress.ts';
import type { PutReport } from './_put-report.ts';

export const catalogueFlags = {
  catalogue: {
    type: 'boolean',
    negatable: true,
    summary: 'insist that it holds star systems (.gz and .br are decompressed); --no-catalogue: an ordinary file',
  },
  map: {
    type: 'string',
    repeatable: true,
    placeholder: 'FIELD=COLUMN',
    summary: 'read a field from this column, such as ra=RAdeg or dist_pc=d[ly]',
  },
  strict: { type: 'boolean', summary: 'exit 6 when a record is not in the index because a value is impossible' },
  wait: { type: 'boolean', default: true, summary: 'wait until the records of a catalogue can be queried' },
} as const;

export interface CatalogueChoice {
  readonly catalogue: boolean | undefined;
  readonly map: readonly string[];
  readonly strict: boolean;
  readonly wait: boolean;
}

/** Refuses flags that contradict each other. */
export const checkCatalogueFlags = ({ catalogue, map, strict }: CatalogueChoice): void => {
  if (catalogue !== false) return;
  if (map.length > 0) throw new OperaError('usage', '--no-catalogue and --map exclude each other');
  if (strict) throw new OperaError('usage', '--no-catalogue and --strict exclude each other');
};

/** Two bars, one after the other: bytes on their way, then records that can be queried. Silent but on a terminal. */
export class PutProgress {
  readonly #io: Output;
  readonly #bytes: Progress;
  readonly #totalBytes: number | undefined;
  #records: Progress | undefined;
  #sent = 0;
  #indexed = 0;
  #expected = 0;

  constructor(io: Output, label: string, totalBytes?: number) {
    this.#io = io;
    this.#totalBytes = totalBytes;
    this.#bytes = io.progress({ label, totalBytes });
  }

  addBytes(bytes: number): void {
    this.#sent += bytes;
    this.#bytes.add(bytes);
  }

  addRecords(indexed: number, expected: number): void {
    this.#indexed += indexed;
    this.#expected += expected;
    // While other files are on their way their bytes say more.
    if (this.#totalBytes !== undefined && this.#sent < this.#totalBytes) return;
    this.#bytes.end();
    this.#records ??= this.#io.progress({ label: 'can be queried', unit: 'records' });
    this.#records.set(this.#indexed, this.#expected);
  }

  end(): void {
    this.#bytes.end();
    this.#records?.end();
  }
}

/** File names that let one expect star systems. */
const isTable = (name: string): boolean => /\.(?:csv|tsv|ndjson|json)$/i.test(name);

export class PutCatalogues {
  readonly #io: Output;
  readonly #choice: CatalogueChoice;
  readonly #report: PutReport;
  readonly #progress: PutProgress;
  #rejected = 0;
  #waiting = 0;

  constructor(io: Output, choice: CatalogueChoice, report: PutReport, progress: PutProgress) {
    this.#io = io;
    this.#choice = choice;
    this.#report = report;
    this.#progress = progress;
  }

  /** Options for one file. `single` when it is the only one: then it is said why it is none. */
  optionsFor(name: string, single: boolean): CatalogueOptions | false {
    const { catalogue, map, wait } = this.#choice;
    if (catalogue === false) return false;
    return {
      map,
      force: catalogue ?? false,
      wait,
      onFault: (fault) => this.#report.fault(name, fault),
      onIndexed: (indexed, expected) => this.#progress.addRecords(indexed, expected),
      onOrdinary: (reasons, known) => {
        const last = reasons.at(-1) ?? '';
        if (known) this.#io.warn(`${name}: stored as an ordinary file, without an index: ${last}`);
        else if (single && this.#io.isTerminal && isTable(name)) {
          this.#io.note(`${name}: stored as an ordinary file, without an index: ${last}`);
        }
      },
    };
  }

  /** Tells what became of the records of one file. */
  tell({ name, catalogue }: PutResult): void {
    if (!catalogue) return;
    const { format, rows, indexed, flagged, rejected, faults, queryable, gone } = catalogue;
    const odd = flagged > 0 ? `, ${groupDigits(flagged)} with odd values` : '';
    const state = queryable ? 'can be queried' : `${indexed === 1 ? 'goes' : 'go'} into the index`;
    this.#io.note(`${name}: ${format}, ${formatCount(rows, 'record')}, ${groupDigits(indexed)} ${state}${odd}`);
    // The put itself took place: what somebody did to the name afterwards is theirs.
    if (gone) this.#io.warn(`${name}: renamed, replaced or removed by somebody while its records were waited for`);
    if (rejected > 0) {
      const first = faults.find(({ level }) => level === 'rejected');
      const such = first ? `, such as ${faultText(first.record, first)}` : '';
      this.#io.warn(`${name}: ${groupDigits(rejected)} of ${formatCount(rows, 'record')} left out of the index${such}`);
    }
    this.#rejected += rejected;
    if (this.#choice.wait && !queryable && !gone) this.#waiting += rows;
  }

  /** Throws what the command ends with although every file is stored. */
  end(): void {
    if (this.#choice.strict && this.#rejected > 0) {
      throw new OperaError(
        'partial',
        `stored, but not in the index: records with impossible values (${groupDigits(this.#rejected)})`,
        {
          hint: 'Add --report FILE to have them listed',
        },
      );
    }
    if (this.#waiting > 0) {
      throw new OperaError(
        'degraded',
        `stored, but not all records can be queried yet (${groupDigits(this.#waiting)})`,
        {
          hint: 'See opera index ls',
        },
      );
    }
  }
}
