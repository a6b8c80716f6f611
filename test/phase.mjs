// One phase of test/run.mjs, in a process of its own: runs files in the order given, where `node --test` would sort
// them by name, and exits with 1 when a test failed. Its one argument is JSON: {files, concurrency, timeoutMs}.
import { run } from 'node:test';
import report from './reporter.mjs';

const { files, concurrency, timeoutMs } = JSON.parse(process.argv[2] ?? '{}');
run({ files, concurrency, timeout: timeoutMs })
  .on('test:fail', ({ todo }) => {
    if (todo === undefined || todo === false) process.exitCode = 1;
  })
  .compose(report)
  .pipe(process.stdout);
