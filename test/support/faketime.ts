// Processes that live at another time: libfaketime, where Debian, Fedora or Homebrew put it. Monotonic time stays real.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const findLibrary = (): string | undefined => {
  const folders = ['/usr/lib', '/usr/lib64', '/usr/local/lib', '/opt/homebrew/lib'];
  const candidates = folders.flatMap((folder) => [
    folder,
    ...(existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []),
  ]);
  return candidates.map((folder) => join(folder, 'faketime', 'libfaketime.so.1')).find((path) => existsSync(path));
};

/** Undefined where it is not installed. */
export const faketimeLibrary = findLibrary();

/** Environment of a process whose wall clock is off by so much: `+2h`, `-1d`. */
export const atTime = (offset: string): Readonly<Record<string, string>> => ({
  LD_PRELOAD: faketimeLibrary ?? '',
  FAKETIME: offset,
  FAKETIME_DONT_FAKE_MONOTONIC: '1',
});

/** The same with an offset that is read from a file once a second, so that a running process can be made to jump. */
export const atTimeOf = (file: string): Readonly<Record<string, string>> => ({
  LD_PRELOAD: faketimeLibrary ?? '',
  FAKETIME_TIMESTAMP_FILE: file,
  FAKETIME_CACHE_DURATION: '1',
  FAKETIME_DONT_FAKE_MONOTONIC: '1',
});
