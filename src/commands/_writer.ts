// Writing to standard output: small writes are gathered, back-pressure is passed on, a reader that closes the pipe ends
// the verb quietly, any other write error (a full disk behind `>`) is an error of the command.
// A promise that resolves means "accepted, go on", not "written"; `flush` means written.
import { OperaError } from '../errors/errors.ts';
import type { OutputStream } from './_host.ts';

/** Text gathered before it is written: large enough to make system calls rare, small enough to feel immediate. */
const gatherLengthMax = 32 * 1024;

export class StreamWriter {
  private readonly stream: OutputStream;
  private readonly onEnd: () => void;
  private gathered = '';
  private written: Promise<void> = Promise.resolve();
  private scheduled = false;
  private failure: OperaError | undefined;
  private pipeClosed = false;

  private readonly dropsWhenClosed: boolean;

  /**
   * `onEnd` is called once, when no further write can succeed. With `dropsWhenClosed` writes after the reader went away
   * vanish instead of throwing: a daemon must outlive the reader of its first line.
   */
  constructor(stream: OutputStream, onEnd: () => void, dropsWhenClosed: boolean) {
    this.stream = stream;
    this.dropsWhenClosed = dropsWhenClosed;
    this.onEnd = onEnd;
    stream.on('error', (cause: NodeJS.ErrnoException) => this.fail(cause));
  }

  /** True after the reader went away, which is no error. */
  get isPipeClosed(): boolean {
    return this.pipeClosed;
  }

  /** The error that ended the stream, unless that was the reader going away. */
  get error(): OperaError | undefined {
    return this.pipeClosed ? undefined : this.failure;
  }

  /** Text, gathered with its neighbours. Throws when the stream has ended. */
  async text(text: string): Promise<void> {
    if (this.mustDrop()) return;
    this.gathered += text;
    if (this.gathered.length >= gatherLengthMax) {
      this.pushGathered();
      // Pipes are written synchronously here: without a turn of the event loop, a long list would shut out signals.
      await new Promise(setImmediate);
      return this.drained();
    }
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.pushGathered();
    });
  }

  /** Bytes, after all text before them. The buffer may be reused once the promise resolves. */
  async bytes(bytes: Uint8Array): Promise<void> {
    if (this.mustDrop()) return;
    this.pushGathered();
    this.write(bytes);
    await this.written;
    this.mustDrop();
  }

  /** Resolves when everything is with the operating system, or never will be. Never throws. */
  async flush(): Promise<void> {
    this.pushGathered();
    await this.written;
  }

  /** Throws when the stream has failed; true when what is written may vanish. */
  private mustDrop(): boolean {
    if (this.failure && !(this.pipeClosed && this.dropsWhenClosed)) throw this.failure;
    return this.failure !== undefined;
  }

  private fail(cause: NodeJS.ErrnoException): void {
    if (this.failure) return;
    const code = cause.code ?? 'error';
    this.pipeClosed = code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED';
    const full = code === 'ENOSPC' || code === 'EDQUOT';
    const reason = this.pipeClosed ? 'the reader closed the pipe' : `standard output cannot be written (${code})`;
    const about = this.pipeClosed ? 'aborted' : full ? 'no-space' : 'internal';
    this.failure = new OperaError(about, reason, { cause, hint: '' });
    this.onEnd();
  }

  private pushGathered(): void {
    const text = this.gathered;
    this.gathered = '';
    if (text !== '' && !this.failure) this.write(text);
  }

  /** Callbacks come in the order of the writes, so the last one tells that all are with the operating system. */
  private write(chunk: string | Uint8Array): void {
    this.written = new Promise((resolve) => {
      this.stream.write(chunk, (cause) => {
        if (cause) this.fail(cause);
        resolve();
      });
    });
  }

  private async drained(): Promise<void> {
    if (this.mustDrop() || !this.stream.writableNeedDrain) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.stream.off('drain', done);
        this.stream.off('error', done);
        this.stream.off('close', done);
        resolve();
      };
      this.stream.on('drain', done);
      this.stream.on('error', done);
      this.stream.on('close', done);
    });
    this.mustDrop();
  }
}
