// Builds the executable, dist/opera.cjs with its one bundle and code cache, and on request the tests and benchmarks beside it.
// `--ensure` installs packages when they are missing and builds only when a source is newer than the output.
// Needs nothing but Node, npm and a C++ toolchain (better-sqlite3 compiles at install).
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(fileURLToPath(import.meta.url));
const flags = new Set(process.argv.slice(2));
const out = join(root, 'dist');

const walk = (folder, accept) =>
  readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return walk(path, accept);
    return accept(path) ? [path] : [];
  });

const install = () => {
  const marker = join(root, 'node_modules', '.package-lock.json');
  const lock = join(root, 'package-lock.json');
  if (existsSync(marker) && statSync(marker).mtimeMs >= statSync(lock).mtimeMs) return;
  process.stderr.write('opera: installing packages (better-sqlite3 compiles, about a minute) …\n');
  // Not `npm ci`: it refuses a lock file from which optional packages of other platforms are missing, as some registries
  // serve them late. The versions are the lock file's all the same, and --no-save leaves it as it is.
  const args = ['install', '--no-save', '--no-fund', '--no-audit'];
  const result = spawnSync('npm', args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (result.status !== 0) process.exit(result.status ?? 1);
};

/** True when every output exists and is newer than every input. */
const fresh = (inputs, output) => {
  if (!existsSync(output)) return false;
  const built = statSync(output).mtimeMs;
  return inputs.every((path) => statSync(join(root, path)).mtimeMs <= built);
};

const isSource = (path) => /\.(ts|lua)$/.test(path);
const sources = () => [...walk('src', isSource), 'build.mjs', 'package.json'];

const loaders = { '.lua': 'text' };
const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;

// The whole of undici (fetch, WebSocket, cache, cookies) takes 30 ms to start; the transport needs these parts.
const undiciParts = {
  name: 'undici-parts',
  setup: (build) => {
    build.onResolve({ filter: /^undici$/ }, () => ({ path: 'undici', namespace: 'parts' }));
    build.onLoad({ filter: /.*/, namespace: 'parts' }, () => ({
      resolveDir: root,
      contents: `import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';
import request from 'undici/lib/api/api-request.js';
Dispatcher.prototype.request = request;
export { default as Pool } from 'undici/lib/dispatcher/pool.js';
export { default as Client } from 'undici/lib/dispatcher/client.js';
export { default as buildConnector } from 'undici/lib/core/connect.js';`,
    }));
  },
};

// A file of its own kind, so that import('better-sqlite3') becomes a require: see src/launch.ts.
const nativeSqlite = {
  name: 'native-sqlite',
  setup: (build) => {
    build.onResolve({ filter: /^better-sqlite3$/ }, ({ namespace }) =>
      namespace === 'native'
        ? { path: 'better-sqlite3', external: true }
        : { path: 'better-sqlite3', namespace: 'native' },
    );
    build.onLoad({ filter: /.*/, namespace: 'native' }, () => ({
      contents: `module.exports = require('better-sqlite3');`,
    }));
  },
};

const executable = join(out, 'opera.cjs');
const bundle = join(out, 'opera.bundle.cjs');

const buildBundle = (esbuild) =>
  esbuild.build({
    absWorkingDir: root,
    entryPoints: ['src/main.ts'],
    outfile: bundle,
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'cjs',
    loader: loaders,
    plugins: [undiciParts, nativeSqlite],
    // Less to read and parse at every start: 40 ms of it at full size. OPERA_DEBUG=1 maps stacks back to the sources.
    minify: true,
    charset: 'ascii',
    define: { OPERA_WORKER_FILE: '__filename', OPERA_VERSION: JSON.stringify(version) },
    sourcemap: 'linked',
    legalComments: 'none',
    logLevel: 'warning',
  });

/** Runs what every verb runs, up to a gateway that nobody listens for: what V8 compiles on the way is kept. */
const recordCodeCache = () => {
  const folder = mkdtempSync(join(tmpdir(), 'opera-build-'));
  const home = join(folder, 'home');
  const run = (args, variables) => {
    const env = { ...process.env, ...variables };
    return spawnSync(process.execPath, [executable, ...args], { env, stdio: 'ignore' }).status;
  };
  const record = { RECORD_OPERA_CODE_CACHE: '1' };
  const status = run(['version'], record);
  run(['init', '--home', home, '--recovery-out', join(folder, 'kit')], {});
  run(['ls', '--home', home, '--timeout', '200ms'], record);
  rmSync(folder, { recursive: true, force: true });
  if (status !== 0) process.exit(status ?? 1);
};

/** The executable is a launcher of a few lines that runs the bundle from a code cache; see src/launch.ts. */
const buildExecutable = async (esbuild) => {
  await buildBundle(esbuild);
  const hash = createHash('sha256').update(readFileSync(bundle)).digest('hex').slice(0, 16);
  for (const name of readdirSync(out)) if (/^opera\.[0-9a-f]{16}\.cache/.test(name)) rmSync(join(out, name));
  await esbuild.build({
    absWorkingDir: root,
    entryPoints: ['src/launch.ts'],
    outfile: executable,
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'cjs',
    minify: true,
    banner: { js: '#!/usr/bin/env node' },
    define: { OPERA_BUNDLE_HASH: JSON.stringify(hash) },
    logLevel: 'warning',
  });
  chmodSync(executable, 0o755);
  recordCodeCache();
};

/** Bundles every entry into dist/<name>, mirroring its path; packages stay external, sources are shared by splitting. */
const buildEntries = async (esbuild, folder, accept, name = folder) => {
  const target = join(out, name);
  const entries = walk(folder, accept);
  if (entries.length === 0) {
    process.stderr.write(`opera: no entries in ${folder}/: nothing to build is an error\n`);
    process.exit(1);
  }
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  const options = {
    absWorkingDir: root,
    outdir: target,
    outbase: root,
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'esm',
    packages: 'external',
    loader: loaders,
    outExtension: { '.js': '.mjs' },
    define: {
      OPERA_WORKER_FILE: JSON.stringify(join(target, 'src/worker.mjs')),
      OPERA_VERSION: JSON.stringify(version),
    },
    logLevel: 'warning',
  };
  await esbuild.build({ ...options, entryPoints: entries, splitting: true, sourcemap: 'linked' });
  // One file without a map: tests start hundreds of threads, and each would read a dozen of both.
  await esbuild.build({ ...options, entryPoints: ['src/worker.ts'] });
  const list = entries.map((path) => relative(root, resolve(target, path.replace(/\.ts$/, '.mjs'))));
  writeFileSync(join(target, 'entries.json'), `${JSON.stringify(list, undefined, 1)}\n`);
};

install();
const esbuild = await import('esbuild');
const ensure = flags.has('--ensure');
if (!ensure || !fresh(sources(), executable)) await buildExecutable(esbuild);
if (flags.has('--tests')) {
  const inputs = [...sources(), ...walk('test', isSource)];
  if (!ensure || !fresh(inputs, join(out, 'test', 'entries.json'))) {
    await buildEntries(esbuild, 'test', (path) => path.endsWith('.test.ts'));
  }
}
if (flags.has('--bench')) {
  const inputs = [...sources(), ...walk('bench', isSource)];
  if (!ensure || !fresh(inputs, join(out, 'bench', 'entries.json'))) {
    await buildEntries(esbuild, 'bench', (path) => path.endsWith('.bench.ts'));
  }
}
if (flags.has('--sim')) {
  const inputs = [...sources(), ...walk('test', isSource)];
  if (!ensure || !fresh(inputs, join(out, 'sim', 'entries.json'))) {
    await buildEntries(esbuild, 'test/sim', (path) => path.endsWith('/main.ts'), 'sim');
  }
}
if (flags.has('--mutants')) {
  const inputs = [...sources(), ...walk('test', isSource)];
  if (!ensure || !fresh(inputs, join(out, 'mutants', 'entries.json'))) {
    await buildEntries(esbuild, 'test/mutants', (path) => path.endsWith('/main.ts'), 'mutants');
  }
}
