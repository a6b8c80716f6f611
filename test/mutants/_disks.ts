// Faults of processes and disks: kill -9, power cuts, full disks.
import type { FaultTable } from './mutant.ts';

const faults = 'test/storage-adapters/sqlite-faults.test.ts';
const crashes = 'test/storage-adapters/sqlite-crash.test.ts';
const resuming = 'test/client/resume.test.ts';

export const diskFaults = {
  'kill9-put': {
    fault: 'kill -9 of the client and of a node anywhere in a put',
    expected: 'what was acknowledged is there; the rest is whole or absent; nothing half is left',
    mutants: [
      {
        story: 'a store answers before the row of a chunk is committed',
        file: 'src/storage-adapters/_sqlite-groups.ts',
        from: '      this.#waiting.push({ ...write,',
        to: "      resolve('stored');\n      this.#waiting.push({ ...write,",
        test: crashes,
        title: 'kill -9 in the middle of writes loses nothing acknowledged and leaves no orphans',
      },
      {
        story: 'what interrupted writes left stays',
        file: 'src/storage-adapters/_chunk-files.ts',
        from: 'await this.remove(found.filter((file) => !kept.has(file)));',
        to: 'await this.remove(found.filter((file) => !file && !kept.has(file)));',
        test: faults,
        title: 'opening removes leftovers of interrupted writes and nothing else',
      },
      {
        story: 'a commit rests on what nodes reported, and does not ask them',
        file: 'src/roles/master/holdings.ts',
        from: 'return core.isDurable(tables, partitionOf(range.version, index), holders);',
        to: 'return answers.size > 0 || core.isDurable(tables, partitionOf(range.version, index), holders);',
        test: 'test/roles/master/commit.test.ts',
        title: 'what the owners hold, and not what was reported while uploading',
      },
      {
        story: 'a put that goes on does not compare what it seals with what it sealed before',
        file: 'src/client/journal.ts',
        from: "if (!equalBytes(known, hash)) throw new OperaError('hash-conflict', 'the file is not what it was');",
        to: '',
        test: resuming,
        title: 'a change behind what was sealed before is met, too: the journal compares chunk by chunk',
      },
      {
        story: 'a file that was edited is taken for the one it was',
        file: 'src/client/journal.ts',
        from: '|| name !== this.#name || !sameStamp(head.stamp, this.#stamp)',
        to: '|| name !== this.#name',
        test: resuming,
        title: 'a changed stamp or changed content gets another version, and no key seals two plaintexts',
      },
      {
        story: 'a chunk leaves before the journal knows of it',
        file: 'src/client/journal.ts',
        from: 'await this.#append(`${renewed}${formatJson({ i: index, h: hash })}`);',
        to: 'setTimeout(() => void this.#append(`${renewed}${formatJson({ i: index, h: hash })}`), 50);',
        test: resuming,
        title: 'each chunk is in the journal before its first byte leaves',
      },
    ],
    tests: [
      {
        test: 'test/e2e/faults.test.ts',
        title: 'kill -9 of the client at any point of a put leaves the file whole, as it was before, or absent',
      },
      {
        test: 'test/e2e/faults.test.ts',
        title: 'a node killed under puts and gets costs neither a file nor a command',
      },
    ],
  },
  'sync-pragma': {
    fault: 'databases opened, closed and opened again',
    expected: 'WAL, and every commit fsynced, at each opening',
    mutants: [
      {
        story: 'databases run as SQLite would have them',
        file: 'src/runtime/sqlite.ts',
        from: "(options.derived ? 'NORMAL' : 'FULL')",
        to: "'NORMAL'",
        test: 'test/runtime/sqlite.test.ts',
        title: 'every open of one file runs WAL with synchronous FULL and temporary tables in memory',
      },
      {
        story: 'the store of a node says that it can be made again',
        file: 'src/storage-adapters/_sqlite-service.ts',
        from: '    ...(synchronousForTests && { synchronousForTests }),',
        to: '    derived: true,',
        test: faults,
        title: 'the live connection runs WAL with synchronous FULL at each open, and a store without shows',
      },
      {
        story: 'bodies of chunks are not fsynced',
        file: 'src/storage-adapters/_chunk-files.ts',
        from: "await this.#step('sync', path, () => handle.sync());",
        to: '',
        test: faults,
        title: 'what was acknowledged survives a power cut, and does not when an fsync is left out',
      },
    ],
  },
  'disk-full': {
    fault: 'a disk that is full, of a node and of a registry',
    expected: '`no-space` with nothing of the write kept, reads go on, writes are taken when there is room',
    mutants: [
      {
        story: 'what was written of a refused body stays',
        file: 'src/storage-adapters/_chunk-files.ts',
        from: 'await Promise.allSettled([unlink(path), unlink(`${path}.tmp`)]);',
        to: '',
        test: faults,
        title: 'a full disk refuses the call, keeps nothing of it, and the next call that fits succeeds',
      },
      {
        story: 'a full disk ends all writing for good',
        file: 'src/storage-adapters/_sqlite-groups.ts',
        from: "if (!isOperaError(error, 'no-space', 'overloaded')) this.#fail(error);\n      for",
        to: 'this.#fail(error);\n      for',
        test: faults,
        title: 'a full database refuses what does not fit beside what does, and takes more after deletions',
      },
      {
        story: 'a full disk is an unexpected error',
        file: 'src/storage-adapters/_chunk-files.ts',
        from: "if (code === 'ENOSPC' || code === 'EDQUOT') {",
        to: "if (code === 'EDQUOT') {",
        test: faults,
        title: 'a full disk refuses the call, keeps nothing of it, and the next call that fits succeeds',
      },
      {
        story: 'a full database is an unexpected error',
        file: 'src/runtime/sqlite.ts',
        from: "if (code === 'SQLITE_FULL' || code === 'SQLITE_IOERR_SHMSIZE')",
        to: "if (code === 'SQLITE_IOERR_SHMSIZE')",
        test: faults,
        title: 'a full database refuses what does not fit beside what does, and takes more after deletions',
      },
    ],
    tests: [
      {
        test: 'test/registry/sqlite-full.test.ts',
        title: 'on a full disk steps are refused, nothing acknowledged is lost',
      },
      { test: 'test/e2e/disk-full-long.test.ts', title: 'a full disk refuses writes with exit 11, serves reads' },
    ],
  },
} as const satisfies FaultTable;
