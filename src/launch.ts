// The executable: runs the bundle beside it from V8's code cache, which saves parsing nearly 2 MB at every start of
// a process or thread. The cache is only ever a shortcut: absent, of another version of Node or of another build, the
// bundle runs without it. Built into dist/opera.cjs; must stay tiny, since it is all that is parsed every time.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';

/** Set by the build: the first 16 hex digits of the bundle's SHA-256. V8 itself compares no more than the length. */
declare const OPERA_BUNDLE_HASH: string;

const bundle = join(__dirname, 'opera.bundle.cjs');

const readOptional = (path: string): Buffer | undefined => {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
};

// V8 would optimise the HTTP parser of undici, one WebAssembly function of enormous size, after a few messages: 100 ms
// of another thread, for which the end of every short command waits, to gain nothing on bodies that it never looks
// into.
const httpParserAsItIs = '--liftoff-only';

const run = (): void => {
  // Before the bundle, because V8 takes no cache that was made under other flags.
  setFlagsFromString(httpParserAsItIs);
  const cachePath = join(__dirname, `opera.${OPERA_BUNDLE_HASH}.cache`);
  // The bundle is ASCII, which the build demands of esbuild: read as Latin-1 it takes half the memory of UTF-16.
  const source = readFileSync(bundle, 'latin1');
  const cachedData = readOptional(cachePath);
  const names = 'exports,require,module,__filename,__dirname,OPERA_IMPORT';
  const script = new Script(`(function(${names}){${source}\n})`, {
    filename: bundle,
    ...(cachedData ? { cachedData } : {}),
  });
  const main = { exports: {} };
  // Code run this way has no import() of its own on Node 20. Threads start from this file too, so they find the cache.
  const importModule = (url: string): Promise<unknown> => import(url);
  script.runInThisContext()(main.exports, createRequire(bundle), main, __filename, __dirname, importModule);
  // The build runs a command once with this: what that command compiled is what the cache holds.
  if (process.env['RECORD_OPERA_CODE_CACHE']) {
    process.on('exit', () => {
      const temporary = `${cachePath}.${process.pid}`;
      writeFileSync(temporary, script.createCachedData());
      renameSync(temporary, cachePath);
    });
  }
};

// With source maps the bundle is loaded the ordinary way, because only then Node looks for its map.
if (process.env['OPERA_DEBUG']) createRequire(bundle)(bundle);
else run();
