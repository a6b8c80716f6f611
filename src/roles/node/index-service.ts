// The worker service `index`: IndexWork in a thread of its own. See index-engine.ts for the calling side.
import { sqliteCodeOf, toSqliteError } from '../../runtime/sqlite.ts';
import { defineWorkerService, type WorkerService } from '../../runtime/worker.ts';
import { IndexWork, type IndexWorkOptions } from './index-work.ts';

defineWorkerService('index', async (options: IndexWorkOptions): Promise<WorkerService> => {
  const work = await IndexWork.open(options);
  /** SQLite's errors in our words: `integrity` for a damaged file. */
  const guarded =
    <Args extends readonly unknown[], Value>(method: (...args: Args) => Value) =>
    (...args: Args): Value => {
      try {
        return method(...args);
      } catch (error) {
        throw sqliteCodeOf(error) === undefined ? error : toSqliteError(error, 'index.db');
      }
    };
  return {
    contents: guarded(() => work.contents()),
    useKey: guarded((...args: Parameters<IndexWork['useKey']>) => work.useKey(...args)),
    build: guarded((...args: Parameters<IndexWork['build']>) => work.build(...args)),
    drop: guarded((...args: Parameters<IndexWork['drop']>) => work.drop(...args)),
    begin: guarded((...args: Parameters<IndexWork['begin']>) => work.begin(...args)),
    next: guarded((...args: Parameters<IndexWork['next']>) => work.next(...args)),
    cancel: (...args: Parameters<IndexWork['cancel']>) => work.cancel(...args),
    bytes: guarded(() => work.bytes()),
    close: () => work.close(),
  };
});
