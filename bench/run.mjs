// Runs the benchmarks that build.mjs listed in dist/bench/entries.json, one process each, one after another.
// `npm run bench -- placement` runs those whose path contains the word. Never part of `npm test`.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const wanted = process.argv.slice(2);
const entries = JSON.parse(readFileSync(resolve(root, 'dist/bench/entries.json'), 'utf8')).filter(
  (entry) => wanted.length === 0 || wanted.some((word) => entry.includes(word)),
);
if (entries.length === 0) {
  process.stderr.write('bench: no benchmark matches: running nothing is an error\n');
  process.exit(1);
}
let failed = 0;
for (const entry of entries) {
  process.stdout.write(`\n${entry}\n`);
  const { status } = spawnSync(process.execPath, ['--enable-source-maps', resolve(root, entry)], {
    cwd: root,
    stdio: 'inherit',
  });
  if (status !== 0) failed++;
}
process.exit(failed === 0 ? 0 : 1);
