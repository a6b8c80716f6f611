// Fresh ids of this client: operations (repeated on retries) and versions of name tombstones.
// Version ids of files are drawn by masters when an upload is opened, never here.
import { type OperationId, operationIdFromBytes, type VersionId, versionIdFromBytes } from '../model/ids.ts';
import type { Random } from '../runtime/random.ts';

export const randomOperationId = (random: Random): OperationId => operationIdFromBytes(random.bytes(16));
export const randomVersionId = (random: Random): VersionId => versionIdFromBytes(random.bytes(16));
