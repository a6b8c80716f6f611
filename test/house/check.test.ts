// The type checker, the linter and the formatter agree with every file; run here, so that `npm test` alone is enough.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';

/** Runs a tool of this project; its output is the message of the failure. Two minutes are far more than it needs. */
const run = (tool: string, ...args: string[]): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [`node_modules/${tool}`, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 300_000,
    });
    let output = '';
    child.stdout.on('data', (part: Buffer) => void (output += part.toString()));
    child.stderr.on('data', (part: Buffer) => void (output += part.toString()));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new assert.AssertionError({ message: `${tool} ended with ${code}\n${output.slice(0, 20_000)}` }));
    });
  });

test('the sources have the types they say', () => run('typescript/bin/tsc', '--noEmit'));

test('the linter finds nothing', () => run('oxlint/bin/oxlint', '--type-aware', '--deny-warnings'));

test('the files are formatted', () => run('@biomejs/biome/bin/biome', 'format', '--reporter=summary', '.'));
