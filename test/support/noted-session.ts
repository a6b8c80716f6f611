// Chunks with notes, as catalogues have them: a session whose messages to nodes carry a note for each version that is
// meant to have one. The contents stay what the test puts; the notes have file keys of their own.
import type { Session } from '../../src/client/session.ts';
import type { Transport } from '../../src/client/transport.ts';
import type { Keyring } from '../../src/crypto/keyring.ts';
import { sealNote } from '../../src/crypto/note.ts';
import { createFileKeys } from '../../src/crypto/sealing.ts';
import { wrapFileKey } from '../../src/crypto/wrap.ts';
import type { NetworkId, VersionId } from '../../src/model/ids.ts';
import type { RequestOf } from '../../src/wire/routes.ts';
import { SeededRandom } from './seeded.ts';

/** Half of all versions, by their ids. */
export const isNoted = (version: VersionId): boolean => Number.parseInt(version.slice(0, 1), 16) < 8;

/** The same note for the same version and keyring; `bytes` makes it longer. */
export const noteOf = (keyring: Keyring, network: NetworkId, version: VersionId, bytes = 0): Uint8Array => {
  const random = new SeededRandom(`note ${version}`);
  const { fileKey, header } = createFileKeys(random, network, version);
  const wrap = wrapFileKey(keyring, network, version, fileKey, random);
  const content = { format: 'csv', columns: ['name', 'ra', 'dec'], ...(bytes > 0 ? { more: 'x'.repeat(bytes) } : {}) };
  return sealNote(fileKey, header, wrap, content, random);
};

/** Adds notes to what the session stores; the session itself is changed, and answered. */
export const withNotes = (session: Session, noted: (version: VersionId) => boolean = isNoted): Session => {
  const { transport, keys } = session.connection;
  const call: Transport['call'] = (to, route, request, options) => {
    const stored = request as Partial<RequestOf<'chunk.store'>>;
    if (route !== 'chunk.store' || stored.notes) return transport.call(to, route, request, options);
    const versions = [...new Set((stored.chunks ?? []).map(({ version }) => version))].filter(noted);
    const notes = versions.map((version) => noteOf(keys.keyring, session.networkId, version));
    const sent = notes.length > 0 ? { ...request, notes } : request;
    return transport.call(to, route, sent, options);
  };
  Object.assign(session.connection, { transport: { ...transport, call } });
  return session;
};
