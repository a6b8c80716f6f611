// Where a join code comes from: the command line, a file that only its owner can read, or standard input.
import { readSecretFile } from '../config/secret-file.ts';
import { OperaError } from '../errors/errors.ts';
import type { InputStream } from './_host.ts';

const codeBytesMax = 4_096;

const readStdin = async (stdin: InputStream): Promise<string> => {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of stdin) {
    const bytes = Buffer.from(part as Uint8Array);
    length += bytes.length;
    if (length > codeBytesMax) throw new OperaError('usage', 'that is longer than a join code');
    parts.push(bytes);
  }
  return Buffer.concat(parts).toString('utf8').trim();
};

export interface JoinCodeSource {
  /** The code itself, or `-` for standard input. */
  readonly code: string | undefined;
  /** A file of mode 0600, or `-` for standard input. */
  readonly file: string | undefined;
  /** Opened only when it is read. */
  readonly stdin: () => InputStream;
}

/** Undefined when none was given; `usage` when two were. It is not parsed here. */
export const readJoinCode = async ({ code, file, stdin }: JoinCodeSource): Promise<string | undefined> => {
  if (code !== undefined && file !== undefined) {
    throw new OperaError('usage', 'a join code and --join-file exclude each other');
  }
  if ((code ?? file) === '-') return readStdin(stdin());
  return file === undefined ? code : readSecretFile(file, 'the join code');
};
