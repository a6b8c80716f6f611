// What a manifest says, and when one is evidence that another version is dead. Pure but for the keys that open bodies.
// A version is dead when its own manifest says so, or when its name went on to another: a manifest of the same name, of
// higher sequence, whose `follows` is not below the dead one's sequence. `follows` matters because of renames: a name
// that its file left begins anew with `follows` 0, and what comes later says nothing of the file that moved away.
import { type Manifest, parseManifest, verifyManifest } from '../../crypto/manifest.ts';
import { type ManifestContent, openManifestBody } from '../../crypto/manifest-body.ts';
import { openWrap } from '../../crypto/wrap.ts';
import { OperaError } from '../../errors/errors.ts';
import type { VersionId } from '../../model/ids.ts';
import type { SignedRecord } from '../../model/signed-record.ts';
import type { StoredManifest } from '../../storage-adapters/storage-adapter.ts';
import type { NodeCore } from './core.ts';

export interface OpenedManifest {
  readonly manifest: Manifest;
  readonly content: ManifestContent;
  readonly record: SignedRecord;
}

type Opener = Pick<NodeCore, 'context' | 'keys'>;

/** Opens a manifest whose signature was checked when it was stored. `integrity`, `unknown-key`. */
export const openStored = (core: Opener, stored: StoredManifest): OpenedManifest =>
  openParsed(core, { bytes: stored.record, signerSpki: stored.signerSpki }, parseManifest(stored.record));

/** Opens a manifest that somebody showed: of this network, signed by who is or was a master, sealed by a member. */
export const openShown = (core: Opener, record: SignedRecord): OpenedManifest => {
  const manifest = parseManifest(record.bytes);
  if (manifest.network !== core.context.networkId) throw new OperaError('wrong-network');
  verifyManifest(manifest, record.signerSpki);
  if (core.context.rosters.roster.byKeyHash.get(manifest.signer)?.role !== 'master') {
    throw new OperaError('integrity', 'a manifest is not signed by a master of this network');
  }
  return openParsed(core, record, manifest);
};

const openParsed = (core: Opener, record: SignedRecord, manifest: Manifest): OpenedManifest => {
  const { network, version, state, body, wrap } = manifest;
  const fileKey = openWrap(core.keys.keyring, network, version, wrap);
  return { manifest, content: openManifestBody(fileKey, network, version, state, body), record };
};

/** The newest manifest known of a version. */
export interface Subject {
  readonly version: VersionId;
  readonly name: string;
  readonly sequence: bigint;
}

export const subjectOf = ({ manifest, content }: OpenedManifest): Subject => ({
  version: manifest.version,
  name: content.name,
  sequence: manifest.sequence,
});

/**
 * True when `evidence` shows that the subject is dead. The subject must be the newest manifest of its version, as a
 * covered view has it: an older one may name what the version was called before.
 */
export const isDeadBy = (subject: Subject, { manifest, content }: OpenedManifest): boolean => {
  if (manifest.version === subject.version) return manifest.state === 'dead' && manifest.sequence >= subject.sequence;
  if (content.name !== subject.name || manifest.sequence <= subject.sequence) return false;
  // A name tombstone that follows exactly this version is the rename of it: the name ended, the version lives.
  return content.kind === 'name-tombstone' ? content.follows > subject.sequence : content.follows >= subject.sequence;
};
