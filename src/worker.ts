// Entry of worker threads. Each import below defines one service; a thread can run nothing else.
import { runWorkerThread } from './runtime/worker.ts';
import './client/_check-service.ts';
import './commands/_inspect-service.ts';
import './registry/_sqlite-service.ts';
import './roles/node/index-service.ts';
import './storage-adapters/_sqlite-service.ts';

runWorkerThread();
