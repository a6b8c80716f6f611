// A sealed note, opened with the keys of the network: what it takes to index the chunks of its catalogue. No byte of a
// note is taken for good that is not: the wrap and the content have tags, and the header commits to the file key.
import type { Keyring } from '../../crypto/keyring.ts';
import { openNote, parseNote } from '../../crypto/note.ts';
import { deriveFileKeys } from '../../crypto/sealing.ts';
import { openWrap } from '../../crypto/wrap.ts';
import { OperaError } from '../../errors/errors.ts';
import type { NetworkId, VersionId } from '../../model/ids.ts';
import type { CatalogueKeys } from './index-build.ts';

/** `integrity` or `wrong-network` for a note that is not that of the version; `unknown-key` says nothing about it. */
export const openNoteKeys = (
  keyring: Keyring,
  network: NetworkId,
  version: VersionId,
  record: Uint8Array,
): CatalogueKeys => {
  const note = parseNote(record);
  if (note.version !== version) throw new OperaError('integrity', 'a note is kept under another version');
  const fileKey = openWrap(keyring, network, version, note.wrap);
  deriveFileKeys(network, version, fileKey, note.header);
  const content = openNote(fileKey, network, note);
  return { version, fileKey, header: note.header, note: JSON.stringify(content) };
};
