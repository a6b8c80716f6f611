// Building blocks of message schemas (valibot): each turns untrusted JSON into a typed value or fails.
// One schema gives both the parser and the TypeScript type, so that a message is written down once.
// Unknown members are refused: a message that says more than we understand is not the message we think it is.
import * as v from 'valibot';
import { OperaError } from '../errors/errors.ts';
import { parseKeyHash, parseMemberId, parseNetworkId, parseOperationId, parseVersionId } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import { roles } from '../model/roles.ts';

/** A schema from a parser of ids.ts. */
const parsed = <T>(parse: (value: unknown) => T) =>
  v.pipe(
    v.string(),
    v.rawTransform<string, T>(({ dataset, addIssue, NEVER }) => {
      try {
        return parse(dataset.value);
      } catch {
        addIssue({ message: 'malformed id' });
        return NEVER;
      }
    }),
  );

export const networkId = parsed(parseNetworkId);
export const memberId = parsed(parseMemberId);
export const keyHash = parsed(parseKeyHash);
export const versionId = parsed(parseVersionId);
export const operationId = parsed(parseOperationId);
export const role = v.picklist(roles);

/** True when the spare bits of the last characters are zero (RFC 4648 section 3.5): one spelling per value. */
const isCanonicalBase64 = (text: string): boolean => {
  if (!text.endsWith('=')) return true;
  return text.endsWith('==') ? /[AQgw]==$/.test(text.slice(-3)) : /[AEIMQUYcgkosw048]=$/.test(text.slice(-2));
};

/** Canonical base64 of `min` to `max` bytes. */
export const bytes = (min: number, max: number = min) =>
  v.pipe(
    v.string(),
    v.maxLength(Math.ceil(max / 3) * 4),
    v.base64(),
    v.check(isCanonicalBase64, 'not canonical base64'),
    v.transform((text): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'))),
    v.check((value) => value.length >= min && value.length <= max, `not ${min} to ${max} bytes`),
  );

/** An unsigned 64-bit number as decimal text. */
export const u64 = v.pipe(
  v.string(),
  v.regex(/^(0|[1-9][0-9]{0,19})$/),
  v.transform((text) => BigInt(text)),
  v.check((value) => value < 1n << 64n),
);

export const integer = (min: number, max: number) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(min), v.maxValue(max));
export const u32 = integer(0, 2 ** 32 - 1);
export const count = integer(0, Number.MAX_SAFE_INTEGER);
export const chunkIndex = integer(0, limits.chunkIndexMax);
export const milliseconds = integer(0, 8.64e15);

export const text = (min: number, max: number) => v.pipe(v.string(), v.minLength(min), v.maxLength(max));
export const listOf = <const S extends v.GenericSchema>(item: S, max: number, min = 0) =>
  v.pipe(v.array(item), v.minLength(min), v.maxLength(max));

/** `host:port`, host an IP address or a DNS name; parsed again where it is dialled. */
export const address = v.pipe(
  v.string(),
  v.maxLength(262),
  v.regex(/^(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9.-]{1,253}):[0-9]{1,5}$/),
);
export const addresses = listOf(address, limits.addressesMax);

/** P-256 SubjectPublicKeyInfo in DER is always 91 bytes. */
export const spki = bytes(91);
export const signedRecord = (min: number, max: number) => v.strictObject({ bytes: bytes(min, max), signerSpki: spki });

/** The path of a wrong member when it is one of ours: an unknown key is the sender's text and is not echoed. */
const pathOfIssue = (issue: v.BaseIssue<unknown>): string => {
  const path = v.getDotPath(issue) ?? 'message';
  return issue.expected !== 'never' && /^[A-Za-z0-9.]{1,100}$/.test(path) ? path : 'message';
};

/** Parses with a schema; `bad-request` names the first wrong member, never its value. */
export const parseWith = <S extends v.GenericSchema>(schema: S, value: unknown): v.InferOutput<S> => {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const issue = result.issues[0];
  const where = pathOfIssue(issue);
  throw new OperaError(
    'bad-request',
    `the message is malformed at ${where}: expected ${issue.expected ?? 'another value'}`,
  );
};
