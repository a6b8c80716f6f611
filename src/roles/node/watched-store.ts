// A store that tells somebody of its writes: what keeps a list of the store's content in memory follows it this way and
// needs no place in the code that writes. It changes nothing of what is asked and answered.
import type { StorageAdapter } from '../../storage-adapters/storage-adapter.ts';

/** By method, with its first argument; must not throw. */
export type StoreWatch = Partial<Record<keyof StorageAdapter, (argument: unknown) => void>>;

/** The same store; `before` is told of a call before it is made, `after` once it took effect. */
export const watchedStore = (
  storage: StorageAdapter,
  { before = {}, after = {} }: { readonly before?: StoreWatch; readonly after?: StoreWatch },
): StorageAdapter =>
  new Proxy(storage, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      const bound = value.bind(target) as (...args: readonly unknown[]) => Promise<unknown>;
      const [first, then] = [before[key as keyof StorageAdapter], after[key as keyof StorageAdapter]];
      if (!first && !then) return bound;
      return async (...args: readonly unknown[]) => {
        first?.(args[0]);
        const answer = await bound(...args);
        then?.(args[0]);
        return answer;
      };
    },
  });
