// A sealed note, opened with the keys of the network: what it takes to index the chunks of its catalogue. No byte of a
// note is taken for good that is not: the wrap and the content have tags, and the header commits to the file key.
import type { Keyring } from '../../crypto/keyring.ts';
import { openNote, parseNote } from '../../crypto/note.ts';
import { deriveFileKeys } from '../../crypto/sealing.ts';
import { openWrap } from '../../crypto/wrap.ts';
import { OperaError } from '../../errors/errors.ts';
import type { NetworkId, VersionId } from '../../model/ids.ts';
import type { CatalogueKeys } from './index-build.ts';

/**
 * True for an epoch that no roster seen here has named: its key has not come yet, or bits of the number turned. Only a
 * copy that opens can tell.
 */
export const isBeyond = ({ newestEpoch }: Keyring, epoch: number): boolean => epoch > newestEpoch;

/**
 * `integrity` or `wrong-network` for a note that is not that of the version; `unknown-key` says nothing about it,
 * except that an epoch beyond all known ones is said to be odd.
 */
export const openNoteKeys = (
  keyring: Keyring,
  network: NetworkId,
  version: VersionId,
  record: Uint8Array,
): CatalogueKeys => {
  const note = parseNote(record);
  if (note.version !== version) throw new OperaError('integrity', 'a note is kept under another version');
  if (isBeyond(keyring, note.wrapEpoch)) {
    const message =
      `a note is under the network key of epoch ${note.wrapEpoch}, and the newest that is known is ` +
      `${keyring.newestEpoch}: it is altered, or that key has not come yet`;
    throw new OperaError('unknown-key', message, { hint: 'opera repair looks for a copy that opens' });
  }
  const fileKey = openWrap(keyring, network, version, note.wrap);
  deriveFileKeys(network, version, fileKey, note.header);
  const content = openNote(fileKey, network, note);
  return { version, fileKey, header: note.header, note: JSON.stringify(content) };
};
