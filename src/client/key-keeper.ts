// The network keys of one key holder: boxes and chain records at rest in `<folder>/keys.json`, keys in memory only.
// A box is believed when its signature is a listed gateway's (or the authority's), and a key when the roster's key
// check agrees. Gateways and nodes keep every box they are given, so that keys survive the loss of the registry.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { equalBytes } from '../crypto/digest.ts';
import { type KeyBox, keyBoxKinds, openKeyBox, parseKeyBox, verifyKeyBox } from '../crypto/key-box.ts';
import { chainRecordEpochOf } from '../crypto/key-chain.ts';
import { createKeyring, type Keyring, keyCheckOf } from '../crypto/keyring.ts';
import { keyHashOfSpki } from '../crypto/signature.ts';
import { OperaError } from '../errors/errors.ts';
import type { Roster } from '../identity/roster.ts';
import type { KeyHash, NetworkId } from '../model/ids.ts';
import type { SignedRecord } from '../model/signed-record.ts';
import { systemErrorCode, writeFileDurably } from '../runtime/files.ts';
import { formatJson, parseJson } from '../wire/json.ts';
import { keysPutRequest } from '../wire/messages-members.ts';
import { parseWith } from '../wire/schema.ts';

export interface KeyKeeperOptions {
  readonly folder: string;
  readonly networkId: NetworkId;
  readonly keyHash: KeyHash;
  /** Raw X25519 private key, 32 bytes. */
  readonly privateKey: Uint8Array;
  readonly caSpki: Uint8Array;
  readonly roster: () => Roster;
  /** True for gateways and nodes: keep the boxes of others too. */
  readonly keepOthers: boolean;
}

const boxKey = (box: KeyBox): string => `${box.kind}/${box.epoch}/${box.recipient}`;

export class KeyKeeper {
  readonly #options: KeyKeeperOptions;
  readonly #boxes = new Map<string, SignedRecord>();
  readonly #chain = new Map<number, Uint8Array>();
  #keyring: Keyring | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(options: KeyKeeperOptions) {
    this.#options = options;
  }

  /** Reads what rests in the folder and opens the newest own box. */
  static async load(options: KeyKeeperOptions): Promise<KeyKeeper> {
    const keeper = new KeyKeeper(options);
    try {
      const text = await readFile(join(options.folder, 'keys.json'), 'utf8');
      const { keyBoxes, keyChain } = parseWith(keysPutRequest, parseJson(text));
      keeper.#take(keyBoxes, keyChain);
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
    }
    return keeper;
  }

  /** `unknown-key` before the first box was opened. */
  get keyring(): Keyring {
    if (!this.#keyring) throw new OperaError('unknown-key', 'no network key is held yet');
    return this.#keyring;
  }

  get hasKeys(): boolean {
    return this.#keyring !== undefined;
  }

  /** Everything kept, as one hands it on. */
  get records(): { readonly keyBoxes: readonly SignedRecord[]; readonly keyChain: readonly Uint8Array[] } {
    return { keyBoxes: [...this.#boxes.values()], keyChain: [...this.#chain.values()] };
  }

  /** Takes boxes and chain records; durable when it resolves. Wrong signatures and epoch conflicts are `integrity`. */
  accept(boxes: readonly SignedRecord[], chain: readonly Uint8Array[]): Promise<void> {
    const next = this.#queue.then(async () => {
      if (!this.#take(boxes, chain)) return;
      const { keyBoxes, keyChain } = this.records;
      await writeFileDurably(join(this.#options.folder, 'keys.json'), `${formatJson({ keyBoxes, keyChain })}\n`, 0o600);
    });
    this.#queue = next.catch(() => undefined);
    return next;
  }

  #take(boxes: readonly SignedRecord[], chain: readonly Uint8Array[]): boolean {
    let changed = false;
    for (const record of chain) {
      const epoch = chainRecordEpochOf(record);
      if (this.#chain.has(epoch)) continue;
      this.#chain.set(epoch, record);
      changed = true;
    }
    for (const record of boxes) {
      const box = parseKeyBox(record.bytes);
      const known = this.#boxes.get(boxKey(box));
      if (known && equalBytes(known.bytes, record.bytes)) continue;
      const own = box.recipient === this.#options.keyHash && box.kind === keyBoxKinds.networkKey;
      if (!own && !this.#options.keepOthers) continue;
      this.#verify(box, record.signerSpki);
      if (own) this.#open(box);
      if (known) continue;
      this.#boxes.set(boxKey(box), record);
      changed = true;
    }
    this.#forgetOlderBoxes();
    if (changed && this.#keyring) this.#keyring = this.#rebuilt(this.#keyring);
    return changed;
  }

  #verify(box: KeyBox, signerSpki: Uint8Array): void {
    verifyKeyBox(this.#options.networkId, box, signerSpki);
    const signer = this.#options.roster().byKeyHash.get(box.signer);
    const authority = box.signer === keyHashOfSpki(this.#options.caSpki);
    if (signer?.role !== 'gateway' && !authority) {
      throw new OperaError('integrity', 'a key box is not signed by a gateway of this network');
    }
  }

  #open(box: KeyBox): void {
    const { networkId, privateKey, roster } = this.#options;
    const key = openKeyBox(networkId, box, privateKey);
    const { keyEpoch, keyCheck } = roster();
    if (box.epoch === keyEpoch && !equalBytes(keyCheckOf(networkId, key), keyCheck)) {
      throw new OperaError('integrity', 'a key box holds another key than the roster names');
    }
    if (this.#keyring?.has(box.epoch)) {
      this.#keyring.with({ epoch: box.epoch, key });
      return;
    }
    const newest = !this.#keyring || box.epoch > this.#keyring.newestEpoch;
    const opened = createKeyring(networkId, { epoch: box.epoch, key }, this.#chain.values());
    if (!this.#keyring) this.#keyring = opened;
    else this.#keyring = newest ? opened.merged(this.#keyring) : this.#keyring.merged(opened);
  }

  #rebuilt(keyring: Keyring): Keyring {
    return createKeyring(keyring.network, keyring.newest, this.#chain.values()).merged(keyring);
  }

  /** Of each recipient and kind only the newest epoch's box is needed: older keys come from the chain. */
  #forgetOlderBoxes(): void {
    const newest = new Map<string, number>();
    const parsed = [...this.#boxes].map(([key, record]) => ({ key, box: parseKeyBox(record.bytes) }));
    for (const { box } of parsed) {
      const who = `${box.kind}/${box.recipient}`;
      newest.set(who, Math.max(newest.get(who) ?? 0, box.epoch));
    }
    for (const { key, box } of parsed) {
      if (box.epoch < (newest.get(`${box.kind}/${box.recipient}`) ?? 0)) this.#boxes.delete(key);
    }
  }
}
