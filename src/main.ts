// Process entry. A thread started by runtime/worker.ts runs its service; everything else is the command line.
import { isWorkerThread } from './runtime/worker.ts';

// The executable is minified; its stacks are of use only when mapped back, which costs time at start.
if (process.env.OPERA_DEBUG) process.setSourceMapsEnabled(true);

if (isWorkerThread()) {
  void import('./worker.ts');
} else {
  void import('./commands/_front.ts').then(({ runCommandLine }) => runCommandLine(process.argv.slice(2)));
}
