// Indexes of node.db that came after format 1 was fixed. A store that lacks one gets it when it is opened; a program
// that does not know them keeps them up all the same, so they change no format.
import type { SqliteDatabase } from '../runtime/sqlite.ts';

/** Whether manifests are left under older network keys is asked every few seconds. */
const indexes = 'CREATE INDEX IF NOT EXISTS manifests_by_wrap ON manifests (wrap_epoch, version);';

export const ensureIndexes = (database: SqliteDatabase): void => {
  database.exec(indexes);
};
