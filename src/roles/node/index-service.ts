// The worker service `index`: IndexWork in a thread of its own. See index-engine.ts for the calling side.
import { defineWorkerService, type WorkerService } from '../../runtime/worker.ts';
import { IndexWork, type IndexWorkOptions } from './index-work.ts';

defineWorkerService('index', async (options: IndexWorkOptions): Promise<WorkerService> => {
  const work = await IndexWork.open(options);
  return {
    contents: () => work.contents(),
    useKey: (...args: Parameters<IndexWork['useKey']>) => work.useKey(...args),
    build: (...args: Parameters<IndexWork['build']>) => work.build(...args),
    drop: (...args: Parameters<IndexWork['drop']>) => work.drop(...args),
    begin: (...args: Parameters<IndexWork['begin']>) => work.begin(...args),
    next: (...args: Parameters<IndexWork['next']>) => work.next(...args),
    cancel: (...args: Parameters<IndexWork['cancel']>) => work.cancel(...args),
    bytes: () => work.bytes(),
    close: () => work.close(),
  };
});
