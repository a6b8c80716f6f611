// The recovery kit: a page of text that opens a network when every member's identity is lost. It holds the private
// half of a recovery key, to which gateways box every newest network key and the CA key, so it is never stale.
// Lines are `word value`; letters may be typed in any case and grouped with spaces; a check catches typing errors.
// It holds no name of a file, no address and no network key.
import { OperaError } from '../errors/errors.ts';
import { utf8 } from '../model/bytes.ts';
import { decodeBase32, encodeBase32, type NetworkId, networkIdToBytes, parseNetworkId } from '../model/ids.ts';
import { equalBytes, sha256 } from './digest.ts';

export interface RecoveryKit {
  readonly network: NetworkId;
  /** SHA-256 of the whole CA bundle, 32 bytes. */
  readonly caPin: Uint8Array;
  /** Raw X25519 private key, 32 bytes. */
  readonly privateKey: Uint8Array;
}

/** Longer texts are not kits; ours has less than 1 KiB. */
export const recoveryKitBytesMax = 8_192;

const title = 'Space Opera recovery kit, version 1';
const checkLabel = utf8('opera/recovery-kit/v1');
const checkBytes = 5;

const checkOf = ({ network, caPin, privateKey }: RecoveryKit): Uint8Array =>
  sha256(checkLabel, networkIdToBytes(network), caPin, privateKey).slice(0, checkBytes);

const grouped = (bytes: Uint8Array): string => (encodeBase32(bytes).match(/.{1,4}/g) ?? []).join(' ');

/** The text to print or store offline; `made` is a date for people, RFC 3339. */
export const encodeRecoveryKit = (kit: RecoveryKit, made: string): string => {
  if (kit.caPin.length !== 32 || kit.privateKey.length !== 32) {
    throw new OperaError('internal', 'the pin and the key of a recovery kit have 32 bytes each');
  }
  return [
    title,
    '',
    '# Whoever holds this page can read every file of the network. Keep it offline.',
    '# With it and the data of the nodes, a network that lost all its members can be opened again.',
    `# Made ${made}`,
    '',
    `network    ${kit.network}`,
    `authority  ${grouped(kit.caPin)}`,
    `key        ${grouped(kit.privateKey)}`,
    `check      ${grouped(checkOf(kit))}`,
    '',
  ].join('\n');
};

const refuse = (why: string): never => {
  throw new OperaError('bad-request', `this is not a usable recovery kit: ${why}`);
};

const valuesOf = (lines: readonly string[]): ReadonlyMap<string, string> => {
  const values = new Map<string, string>();
  for (const line of lines) {
    const [word = '', ...rest] = line.toLowerCase().split(/\s+/);
    if (!['network', 'authority', 'key', 'check'].includes(word)) refuse('it has an unknown line');
    if (values.has(word)) refuse(`it has two lines for ${word}`);
    values.set(word, rest.join(''));
  }
  return values;
};

const bytesOf = (values: ReadonlyMap<string, string>, word: string, length: number): Uint8Array => {
  const bytes = decodeBase32(values.get(word) ?? refuse(`the line ${word} is missing`));
  return bytes?.length === length ? bytes : refuse(`the line ${word} is mistyped`);
};

/** `bad-request`, naming the line, for anything that encodeRecoveryKit did not write. */
export const parseRecoveryKit = (text: string): RecoveryKit => {
  if (text.length > recoveryKitBytesMax) refuse('it is too long');
  const lines = text
    .replace(/^\ufeff/, '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  if (lines[0] !== title) refuse(`it does not begin with "${title}"`);
  const values = valuesOf(lines.slice(1));
  bytesOf(values, 'network', 16);
  const network = parseNetworkId(values.get('network'));
  const kit = { network, caPin: bytesOf(values, 'authority', 32), privateKey: bytesOf(values, 'key', 32) };
  if (!equalBytes(bytesOf(values, 'check', checkBytes), checkOf(kit))) refuse('its check is wrong; a line is mistyped');
  return kit;
};
