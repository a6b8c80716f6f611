// The network keys of one key holder: boxes and chain records at rest in `<folder>/keys.json`, keys in memory only.
// A box is believed when its signature is a listed gateway's (or the authority's), and a key when the roster's key
// check agrees. Gateways and nodes keep every box they are given, so that keys survive the loss of the registry.
// Invariant: no key is used before a roster names its epoch. What a rotation prepares is kept apart until then: of two
// rotations that prepare the same epoch, the roster says by its key check which one took place.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { equalBytes } from '../crypto/digest.ts';
import { type KeyBox, keyBoxKinds, openKeyBox, parseKeyBox, verifyKeyBox } from '../crypto/key-box.ts';
import { chainRecordEpochOf, openChainRecord } from '../crypto/key-chain.ts';
import { createKeyring, type Keyring, keyCheckOf } from '../crypto/keyring.ts';
import { keyHashOfSpki } from '../crypto/signature.ts';
import { isOperaError, OperaError } from '../errors/errors.ts';
import type { Roster } from '../identity/roster.ts';
import type { KeyHash, NetworkId } from '../model/ids.ts';
import type { SignedRecord } from '../model/signed-record.ts';
import { systemErrorCode, writeFileDurably } from '../runtime/files.ts';
import { formatJson, parseJson } from '../wire/json.ts';
import { type EpochDraft, type EpochNote, epochDraft, epochNote } from '../wire/messages-keys.ts';
import { keysPutRequest } from '../wire/messages-members.ts';
import { listOf, parseWith } from '../wire/schema.ts';

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

/** Rotations that were prepared for one epoch and came to nothing; more than gateways make at once. */
const draftsMax = 8;
/** Beginnings of epochs that are remembered, for people. */
const notesMax = 1_000;

const storedKeys = v.strictObject({
  ...keysPutRequest.entries,
  drafts: v.optional(listOf(epochDraft, draftsMax)),
  epochs: v.optional(listOf(epochNote, notesMax)),
});

const boxKey = (box: KeyBox): string => `${box.kind}/${box.epoch}/${box.recipient}`;

const parseStored = (path: string, text: string): v.InferOutput<typeof storedKeys> => {
  try {
    return parseWith(storedKeys, parseJson(text));
  } catch (cause) {
    const hint = 'Put it back from a backup. A client may move it away: it is given its keys again';
    throw new OperaError('config', `${path} is damaged: it holds no keys`, { cause, hint });
  }
};

export class KeyKeeper {
  readonly #options: KeyKeeperOptions;
  readonly #boxes = new Map<string, SignedRecord>();
  readonly #chain = new Map<number, Uint8Array>();
  #drafts: readonly EpochDraft[] = [];
  #notes: readonly EpochNote[] = [];
  #keyring: Keyring | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(options: KeyKeeperOptions) {
    this.#options = options;
  }

  /** Reads what rests in the folder and opens the newest own box. */
  static async load(options: KeyKeeperOptions): Promise<KeyKeeper> {
    const keeper = new KeyKeeper(options);
    try {
      const path = join(options.folder, 'keys.json');
      const { keyBoxes, keyChain, drafts = [], epochs = [] } = parseStored(path, await readFile(path, 'utf8'));
      keeper.#drafts = drafts;
      keeper.#notes = epochs;
      keeper.#take(keyBoxes, keyChain);
      keeper.#follow();
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

  /** Epochs whose beginning was seen here, ascending. */
  get notes(): readonly EpochNote[] {
    return this.#notes;
  }

  /** Takes boxes and chain records; durable when it resolves. Wrong signatures and epoch conflicts are `integrity`. */
  accept(boxes: readonly SignedRecord[], chain: readonly Uint8Array[]): Promise<void> {
    return this.#change(() => this.#take(boxes, chain));
  }

  /**
   * Keeps what a rotation prepared, durably, until a roster names its epoch and key check. `stale-roster` when the
   * roster held is at that epoch already, `integrity` when the draft is not what it says, as far as can be seen here.
   */
  prepare(draft: EpochDraft): Promise<void> {
    return this.#change(() => {
      const { keyEpoch } = this.#options.roster();
      if (draft.epoch <= keyEpoch) throw new OperaError('stale-roster', `key epoch ${keyEpoch} is in force`);
      this.#checkDraft(draft);
      const others = this.#drafts.filter(({ keyCheck }) => !equalBytes(keyCheck, draft.keyCheck));
      this.#drafts = [...others, draft].slice(-draftsMax);
      return true;
    });
  }

  /** To be called when the roster has changed: an epoch it names is used from now on. Durable when it resolves. */
  async follow(): Promise<void> {
    const changed = this.#follow();
    await this.#change(() => changed);
  }

  #change(change: () => boolean): Promise<void> {
    const next = this.#queue.then(async () => {
      if (!change()) return;
      const stored = { ...this.records, drafts: this.#drafts, epochs: this.#notes };
      await writeFileDurably(join(this.#options.folder, 'keys.json'), `${formatJson(stored)}\n`, 0o600);
    });
    this.#queue = next.catch(() => undefined);
    return next;
  }

  #checkDraft({ epoch, keyCheck, keyBoxes, signerSpki, chain }: EpochDraft): void {
    const { networkId, keyHash, privateKey } = this.#options;
    if (chainRecordEpochOf(chain) !== epoch - 1)
      throw new OperaError('integrity', 'the chain record is of another epoch');
    for (const bytes of keyBoxes) {
      const box = parseKeyBox(bytes);
      if (box.epoch !== epoch || box.kind === keyBoxKinds.caKeyPart) {
        throw new OperaError('integrity', 'a key box of a draft is of another epoch');
      }
      this.#verify(box, signerSpki);
      if (box.recipient !== keyHash || box.kind !== keyBoxKinds.networkKey) continue;
      const key = openKeyBox(networkId, box, privateKey);
      const older = openChainRecord(networkId, chain, { epoch, key });
      const fits = equalBytes(keyCheckOf(networkId, key), keyCheck);
      if (!fits || (this.#keyring?.has(older.epoch) && !equalBytes(this.#keyring.key(older.epoch), older.key))) {
        throw new OperaError('integrity', 'the keys of a draft are not those it names');
      }
    }
  }

  /** Takes over the draft that the roster names, forgets those it has passed, opens boxes it makes usable. */
  #follow(): boolean {
    const { keyEpoch, keyCheck } = this.#options.roster();
    const passed = this.#drafts.filter(({ epoch }) => epoch <= keyEpoch);
    this.#drafts = this.#drafts.filter(({ epoch }) => epoch > keyEpoch);
    const named = passed.find((draft) => draft.epoch === keyEpoch && equalBytes(draft.keyCheck, keyCheck));
    if (named) {
      const { epoch, madeMs, operationId, signerSpki, keyBoxes, chain } = named;
      this.#notes = [...this.#notes, { epoch, madeMs, operationId }].slice(-notesMax);
      this.#take(
        keyBoxes.map((bytes) => ({ bytes, signerSpki })),
        [chain],
      );
    }
    const own = this.#boxes.get(`${keyBoxKinds.networkKey}/${keyEpoch}/${this.#options.keyHash}`);
    const opened = own !== undefined && !this.#keyring?.has(keyEpoch) && this.#openKept(own);
    return this.#forgetOlderBoxes() || opened || passed.length > 0;
  }

  /** A box that came before the roster which names its epoch. A wrong one gives way to what gateways hand out. */
  #openKept(record: SignedRecord): true {
    const box = parseKeyBox(record.bytes);
    try {
      this.#open(box);
      if (this.#keyring) this.#keyring = this.#rebuilt(this.#keyring);
    } catch (error) {
      if (!isOperaError(error, 'integrity')) throw error;
      this.#boxes.delete(boxKey(box));
    }
    return true;
  }

  #take(boxes: readonly SignedRecord[], chain: readonly Uint8Array[]): boolean {
    const { keyEpoch } = this.#options.roster();
    let changed = false;
    for (const record of chain) {
      const epoch = chainRecordEpochOf(record);
      if (this.#chain.has(epoch)) continue;
      // A record that does not open would hide all older keys.
      if (this.#keyring?.has(epoch + 1)) this.#openChain(record, epoch + 1);
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
      // Of an epoch that the roster held here does not name yet: kept, and opened when it does.
      if (own && box.epoch <= keyEpoch) this.#open(box);
      if (known) continue;
      this.#boxes.set(boxKey(box), record);
      changed = true;
    }
    this.#forgetOlderBoxes();
    if (changed && this.#keyring) this.#keyring = this.#rebuilt(this.#keyring);
    return changed;
  }

  #openChain(record: Uint8Array, epoch: number): void {
    const { networkId } = this.#options;
    openChainRecord(networkId, record, { epoch, key: this.keyring.key(epoch) });
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

  /** Of each recipient and kind only the newest usable epoch's box is needed: older keys come from the chain. */
  #forgetOlderBoxes(): boolean {
    const { keyEpoch } = this.#options.roster();
    const newest = new Map<string, number>();
    const parsed = [...this.#boxes].map(([key, record]) => ({ key, box: parseKeyBox(record.bytes) }));
    for (const { box } of parsed) {
      const who = `${box.kind}/${box.recipient}`;
      if (box.epoch <= keyEpoch) newest.set(who, Math.max(newest.get(who) ?? 0, box.epoch));
    }
    const older = parsed.filter(({ box }) => box.epoch < (newest.get(`${box.kind}/${box.recipient}`) ?? 0));
    for (const { key } of older) this.#boxes.delete(key);
    return older.length > 0;
  }
}
