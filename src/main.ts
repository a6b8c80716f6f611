// Process entry. A thread started by runtime/worker.ts runs its service; everything else is the command line.
import { isWorkerThread } from './runtime/worker.ts';

if (isWorkerThread()) {
  void import('./worker.ts');
} else {
  void import('./commands/_front.ts').then(({ runCommandLine }) => runCommandLine(process.argv.slice(2)));
}
