// Worker threads: blocking work (SQLite) runs in a thread and is called like an async function.
// One file serves as the entry of every thread: the executable itself, or src/worker.ts in test builds; the table
// of services below is built in, so a thread can run nothing that was not compiled into the program.
import {
  isMainThread,
  type MessagePort,
  parentPort,
  type TransferListItem,
  Worker,
  workerData,
} from 'node:worker_threads';
import { type ErrorCode, isErrorCode, OperaError, toOperaError } from '../errors/errors.ts';

/** Set by the build: the file a worker thread starts from. */
declare const OPERA_WORKER_FILE: string;

/** A service of a worker thread: methods by name; arguments and answers are structured-cloned. */
export type WorkerService = Readonly<Record<string, (...args: never[]) => unknown>>;

/** Makes the service inside the thread; may open files. Throwing fails every call with that error. */
export type WorkerServiceFactory = (options: never) => WorkerService | Promise<WorkerService>;

const services = new Map<string, WorkerServiceFactory>();

/** Declares a service of this program under a name; called at module level by the module that owns it. */
export const defineWorkerService = (name: string, factory: WorkerServiceFactory): void => {
  services.set(name, factory);
};

/** Buffers that leave the thread with an answer instead of being copied. */
const given = new WeakMap<object, readonly ArrayBuffer[]>();

/** Shorter ones are copied faster than they are handed over. */
const givenBytesMin = 16 * 1024;

/** Buffers of bytes that have one to themselves, to be handed to another thread: here they are gone after that. */
export const wholeBuffers = (parts: readonly (Uint8Array | undefined)[]): ArrayBuffer[] => {
  const buffers = new Set<ArrayBuffer>();
  for (const part of parts) {
    if (!part || part.byteLength < givenBytesMin || part.byteLength !== part.buffer.byteLength) continue;
    if (part.buffer instanceof ArrayBuffer) buffers.add(part.buffer);
  }
  return [...buffers];
};

/** In a service: an answer whose `bytes` go with it, and are not the service's any more. */
export const givingAway = <T extends object>(answer: T, bytes: Uint8Array): T => {
  given.set(answer, wholeBuffers([bytes]));
  return answer;
};

interface Call {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: {
    readonly code: string;
    readonly message: string;
    readonly hint?: string | undefined;
    readonly stack: string | undefined;
  };
}

const answerOf = async (service: Promise<WorkerService>, call: Call): Promise<Answer> => {
  try {
    const served = await service;
    const method = Object.hasOwn(served, call.method) ? served[call.method] : undefined;
    if (!method) throw new OperaError('internal', `the worker has no method ${call.method}`);
    return { id: call.id, value: await method(...(call.args as never[])) };
  } catch (thrown) {
    const error = toOperaError(thrown);
    const cause = error.cause instanceof Error ? error.cause : error;
    const message = error.code === 'internal' ? cause.message : error.message;
    return { id: call.id, error: { code: error.code, message, hint: error.hint, stack: cause.stack } };
  }
};

/** Runs in a worker thread: serves the service named by workerData until the parent ends the thread. */
export const runWorkerThread = (): void => {
  const port: MessagePort | null = parentPort;
  if (isMainThread || !port) throw new OperaError('internal', 'not a worker thread');
  const { service: name, options } = workerData as { service: string; options: unknown };
  const factory = services.get(name);
  const service = factory
    ? Promise.resolve().then(() => factory(options as never))
    : Promise.reject(new OperaError('internal', `no worker service ${name}`));
  service.catch(() => undefined);
  port.on('message', (call: Call) => {
    void answerOf(service, call).then((answer) => {
      try {
        const { value } = answer;
        port.postMessage(answer, typeof value === 'object' && value !== null ? (given.get(value) ?? []) : []);
      } catch {
        // What the method answered cannot be sent: this call fails, not the thread and every call with it.
        const message = `the answer of ${call.method} cannot leave its thread`;
        port.postMessage({ id: call.id, error: { code: 'internal', message, stack: undefined } } satisfies Answer);
      }
    });
  });
};

/** True in a thread started by startWorker, so that the program's entry can tell. */
export const isWorkerThread = (): boolean =>
  !isMainThread && typeof workerData === 'object' && workerData !== null && 'service' in workerData;

/**
 * V8 lets the young generation of every thread grow to 48 MiB and gives little of it back: most of what a node with
 * four threads would hold. Measured on building indexes, 12 cost no time, and 6 a tenth more.
 */
const youngGenerationMb = 12;

/** The calling side of a worker service. */
export interface WorkerClient {
  call(method: string, args: readonly unknown[], transfer?: readonly TransferListItem[]): Promise<unknown>;
  /** Ends the thread; calls still waiting reject with `not-ready`. */
  close(): Promise<void>;
}

/**
 * Starts a thread serving `service`. A crash of the thread fails all waiting and later calls with `internal`.
 * `entry` is another entry of the same program, for tests.
 */
export const startWorker = (service: string, options: unknown, entry?: URL): WorkerClient => {
  const file = entry ?? OPERA_WORKER_FILE;
  const worker = new Worker(file, {
    workerData: { service, options },
    stdout: false,
    stderr: false,
    resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMb },
  });
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: unknown) => void }>();
  let nextId = 1;
  let ended: OperaError | undefined;
  const end = (error: OperaError): void => {
    ended ??= error;
    for (const { reject } of waiting.values()) reject(ended);
    waiting.clear();
    worker.unref();
  };
  worker.on('message', (answer: Answer) => {
    const entry = waiting.get(answer.id);
    // Nobody waits for it: the thread is being ended, and what waits for that end must keep this process.
    if (!entry) return;
    waiting.delete(answer.id);
    if (waiting.size === 0) worker.unref();
    if (!answer.error) return entry.resolve(answer.value);
    const { code, message, hint } = answer.error;
    const known: ErrorCode = isErrorCode(code) ? code : 'internal';
    entry.reject(
      new OperaError(known, message, {
        cause: new Error(answer.error.stack ?? message),
        ...(hint === undefined ? {} : { hint }),
      }),
    );
  });
  worker.on('error', (cause) => end(new OperaError('internal', `the ${service} worker failed`, { cause })));
  worker.on('exit', () => end(new OperaError('not-ready', `the ${service} worker ended`)));
  worker.unref();
  return {
    call: (method, args, transfer = []) =>
      new Promise((resolve, reject) => {
        if (ended) return reject(ended);
        const id = nextId++;
        waiting.set(id, { resolve, reject });
        worker.ref();
        try {
          worker.postMessage({ id, method, args } satisfies Call, transfer);
        } catch (cause) {
          waiting.delete(id);
          if (waiting.size === 0) worker.unref();
          reject(
            new OperaError('internal', `the arguments of ${method} cannot enter the ${service} worker`, { cause }),
          );
        }
      }),
    close: async () => {
      end(new OperaError('not-ready', `the ${service} worker was closed`));
      await worker.terminate();
    },
  };
};
