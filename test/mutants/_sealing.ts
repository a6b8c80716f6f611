// Faults of sealed data: what an attacker does to stored bytes, what leaks, and what a server may answer to a get.
import type { FaultTable } from './mutant.ts';

const chacha = 'test/crypto/chacha.test.ts';
const sealing = 'test/crypto/sealing.test.ts';
const keyring = 'test/crypto/keyring.test.ts';
const getting = 'test/client/get.test.ts';
const intoFiles = 'test/client/get-many.test.ts';

const ofSealing = (story: string, from: string, to: string, title: string) => ({
  story,
  file: 'src/crypto/sealing.ts',
  from,
  to,
  test: sealing,
  title,
});

export const sealingFaults = {
  'xchacha-vectors': {
    fault: 'the published vectors, short tags, other sizes of nonces, altered associated data',
    expected: 'the published bytes by both code paths; everything else refused',
    mutants: [
      {
        story: 'associated data is left out when opening',
        file: 'src/crypto/chacha.ts',
        from: '  decipher.setAAD(aad, { plaintextLength: length });\n',
        to: '',
        test: chacha,
        title: 'gives the vector of draft-irtf-cfrg-xchacha-03 appendix A.3.1, by both paths',
      },
      {
        story: 'associated data is left out on both sides',
        file: 'src/crypto/chacha.ts',
        from: '  cipher.setAAD(aad, { plaintextLength: plaintext.length });\n',
        to: '',
        test: chacha,
        title: 'random messages seal to the same bytes by both paths and open by the other',
      },
      {
        story: 'the tag is not checked',
        file: 'src/crypto/chacha.ts',
        from: '    decipher.final();\n',
        to: '',
        test: chacha,
        title: 'path refuses every flipped bit of a sealed message, its AAD, nonce and key',
      },
      {
        story: 'short tags pass',
        file: 'src/crypto/chacha.ts',
        from: '{ authTagLength: tagBytes });\n  decipher.setAuthTag(sealed.subarray(length));',
        to: '{ authTagLength: 4 });\n  decipher.setAuthTag(sealed.subarray(length, length + 4));',
        test: chacha,
        title: 'path refuses every flipped bit of a sealed message, its AAD, nonce and key',
      },
      {
        story: 'nonces of any size pass',
        file: 'src/crypto/chacha.ts',
        from: "  if (bytes.length !== length) throw new OperaError('internal', `${what} must have ${length} bytes`);",
        to: "  if (bytes.length > 1_000) throw new OperaError('internal', `${what} must have ${length} bytes`);",
        test: chacha,
        title: 'keys and nonces of another size are a bug of ours and never used',
      },
    ],
    tests: [{ test: 'test/crypto/seal-vectors.test.ts', title: 'every chunk seals to the vector' }],
  },
  'chunk-attacks': {
    fault:
      'a truncation at the border of a chunk or segment, a patched length, a swap, duplicate, appendix, a splice ' +
      'from another version, a whole other file, a foreign wrap, flipped bits, an unknown epoch, another network, ' +
      'lengths that cannot be, nothing at all',
    expected: 'an error, and no byte of plaintext',
    mutants: [
      ofSealing(
        'the end of a version is not told from that of a chunk',
        'return last ? flagVersionEnd : flagChunkEnd;',
        'return last ? flagChunkEnd : flagChunkEnd;',
        'attack: the end of a version cannot be moved',
      ),
      ofSealing(
        'chunks may change places',
        '  view.setUint32(4, chunkIndex);\n',
        '  view.setUint32(4, chunkIndex && 0);\n',
        'swapped chunks of one length',
      ),
      ofSealing('segments may change places', '  view.setUint16(8, segment);\n', '', 'releases nothing'),
      ofSealing(
        'no length is compared with what the manifest says',
        'if (!possible || (plaintextLength !== undefined && plaintextLength !== length)) {',
        'if (!possible) {',
        'attack: patched lengths in the manifest are refused',
      ),
      ofSealing(
        'an empty chunk is any chunk',
        'const possible = length !== undefined && (length > 0 || mayBeEmpty(chunkIndex, last));',
        'const possible = length !== undefined;',
        'attack: an empty segment with a right tag is refused anywhere but in an empty version',
      ),
      ofSealing(
        'the reserved bytes and the sizes in a header may be any',
        "  reader.expect(sizes, 'segment size or reserved field');\n",
        '  reader.take(sizes.length);\n',
        'attack: every flipped bit of the header is refused before anything is opened',
      ),
      ofSealing(
        'a chunk that breaks off in the middle is given as far as it goes',
        '    plaintext.fill(0);\n    throw error;',
        '    return plaintext.length > 70_000 ? plaintext : plaintext.subarray(0, 0);',
        'releases nothing',
      ),
      {
        story: 'the headers of other versions pass',
        file: 'src/crypto/sealing.ts',
        from: 'if (header.version !== version) throw',
        to: 'if (version.length === 0) throw',
        test: 'test/crypto/manifest.test.ts',
        title: 'a body never carries the header of another version or network',
      },
      {
        story: 'lengths of chunks need not sum to the size',
        file: 'src/crypto/geometry.ts',
        from: "if (sum !== size) refuse('the chunk lengths of the catalogue do not sum to its size');",
        to: '',
        test: 'test/crypto/geometry.test.ts',
        title: 'a catalogue whose lengths do not fit is refused',
      },
      {
        story: 'sizes beyond exact integers pass',
        file: 'src/crypto/geometry.ts',
        from: 'if (!Number.isSafeInteger(size) || size < 0)',
        to: 'if (size < 0)',
        test: 'test/crypto/geometry.test.ts',
        title: 'impossible sizes and indices are refused',
      },
      {
        story: 'a wrap is good for any version',
        file: 'src/crypto/wrap.ts',
        from: 'concatBytes(networkIdToBytes(network), versionIdToBytes(version));',
        to: 'concatBytes(networkIdToBytes(network), versionIdToBytes(version).fill(0));',
        test: keyring,
        title: 'a wrap opens with its epoch, network and version only',
      },
      {
        story: 'a key of another epoch is tried for one that is not held',
        file: 'src/crypto/keyring.ts',
        from: "if (key === undefined) throw new OperaError('unknown-key',",
        to: "if (key === undefined) return this.newest.key;\n    if (epoch < 0) throw new OperaError('unknown-key',",
        test: keyring,
        title: 'a wrap opens with its epoch, network and version only',
      },
      {
        story: 'a client does not check the tag of a chunk that was altered together with its hash',
        file: 'src/crypto/chacha.ts',
        from: '    decipher.final();\n  } catch (cause) {',
        to: '  } catch (cause) {',
        test: getting,
        title: 'a damaged copy is passed over, whether its hash or only its tag tells',
      },
    ],
    tests: [
      {
        test: 'test/crypto/manifest.test.ts',
        title: 'every flipped byte before the wrap is refused by form or signature',
      },
      {
        test: 'test/crypto/codec-fuzz.test.ts',
        title: 'every length field of a record that is off by anything is refused',
      },
    ],
  },
  'key-commitment': {
    fault: 'a body that opens under two keys',
    expected: 'the commitment is refused before anything is opened',
    mutants: [
      ofSealing(
        'the commitment is not compared',
        'if (!equalBytes(commitment, header.commitment)) {',
        'if (commitment.length === 0) {',
        'a chunk whose tag is right under a second key is refused by the commitment',
      ),
    ],
  },
  'wrong-net': {
    fault: 'chunks, manifests, wraps and keys of another network',
    expected: 'refused',
    mutants: [
      ofSealing(
        'headers of other networks pass',
        'if (header.network !== network) throw',
        'if (network.length === 0) throw',
        'attack: a header of another network, version or key is refused',
      ),
      {
        story: 'keyrings open wraps of other networks',
        file: 'src/crypto/wrap.ts',
        from: 'if (keyring.network !== network) throw',
        to: 'if (network.length === 0) throw',
        test: keyring,
        title: 'a wrap opens with its epoch, network and version only',
      },
      {
        story: 'a node stores manifests of other networks',
        file: 'src/roles/node/serve.ts',
        from: "if (manifest.network !== core.context.networkId) throw new OperaError('wrong-network');",
        to: '',
        test: 'test/roles/node/serving.test.ts',
        title: 'manifests are taken from a master that signed them, in the current life and layout only',
      },
      {
        story: 'tickets of other networks pass',
        file: 'src/identity/ticket.ts',
        from: "if (ticket.networkId !== trust.networkId) refuse('it is of another network');",
        to: '',
        test: 'test/roles/node/serving.test.ts',
        title: 'a ticket is for its client, versions, operation, time and life of the registry',
      },
    ],
    tests: [
      { test: getting, title: 'records of another name, version or network, and wrong chunk counts, are refused' },
    ],
  },
  'redis-dump': {
    fault: 'a search for known contents, keys and codes in the dump, the files and the logs of everybody',
    expected: 'nothing but the names, outside of identity folders',
    mutants: [
      {
        story: 'the key of the network in the log of the gateway',
        file: 'src/roles/gateway/admission.ts',
        from: "log.info('member-joined', { memberId,",
        to: "log.info('member-joined', { k: Buffer.from(this.#deps.keys.keyring.newest.key).toString('hex'),",
        test: 'test/e2e/files.test.ts',
        title: 'no plaintext, key or join code is found outside identity folders, and planted ones are',
      },
      {
        story: 'the key of a file in the journal of a put',
        file: 'src/client/journal.ts',
        from: 'const wrap = wrapFileKey(connection.keys.keyring, network, version, keys.fileKey, connection.random);',
        to: 'const wrap = new Uint8Array(76).map((_, at) => (at === 3 ? 1 : (keys.fileKey[at - 4] ?? 0)));',
        test: 'test/client/resume.test.ts',
        title: 'the journal is readable by its owner alone and holds no key in clear',
      },
    ],
    tests: [
      {
        test: 'test/e2e/redis.test.ts',
        title: 'no plaintext, key or join code is found outside identity folders, and planted ones are',
      },
    ],
  },
  'client-get-traversal': {
    fault: 'names that lead outside, absolute ones, drives, links in the way, files that are there',
    expected: 'written inside the target only, and over nothing',
    mutants: [
      {
        story: 'a backslash is a letter like any other',
        file: 'src/client/local-path.ts',
        from: "if (part.includes('\\\\')) throw refuse('it holds a backslash');",
        to: '',
        test: intoFiles,
        title: 'names that would lead elsewhere are refused, whatever a server answers',
      },
      {
        story: 'names are not looked at once more before they become paths',
        file: 'src/client/local-path.ts',
        from: "const parts = parseWireName(name).split('/');",
        to: "const parts = name.split('/');",
        test: intoFiles,
        title: 'names that would lead elsewhere are refused, whatever a server answers',
      },
      {
        story: 'the network may answer the record of another name',
        file: 'src/client/open-file.ts',
        from: "if (content.kind !== 'file' || content.name !== name) {",
        to: "if (content.kind !== 'file') {",
        test: getting,
        title: 'records of another name, version or network, and wrong chunk counts, are refused',
      },
      {
        story: 'folders that are links are gone through',
        file: 'src/client/local-path.ts',
        from: 'if (found.isSymbolicLink())',
        to: 'if (found.isFIFO())',
        test: intoFiles,
        title: 'links are never written through: the file, its part and the folders on the way',
      },
      {
        story: 'the part beside a target may be a link',
        file: 'src/client/local-target.ts',
        from: 'constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK',
        to: 'constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK',
        test: intoFiles,
        title: 'links are never written through: the file, its part and the folders on the way',
      },
      {
        story: 'a file that was made meanwhile is overwritten',
        file: 'src/client/local-target.ts',
        from: 'if (force) return rename(from, to);',
        to: 'if (force || from) return rename(from, to);',
        test: intoFiles,
        title: 'a local file that is there is not overwritten, not even one made meanwhile, unless forced',
      },
    ],
    tests: [{ test: 'test/e2e/files.test.ts', title: 'get overwrites nothing and writes nowhere else' }],
  },
  'ls-escape': {
    fault: 'names with escape sequences',
    expected: 'printed escaped',
    mutants: [
      {
        story: 'texts go to the terminal as they are',
        file: 'src/model/terminal-text.ts',
        from: '  text.replace(steering, (character) => {',
        to: '  text.replace(/(?!)/g, (character) => {',
        test: 'test/commands/output.test.ts',
        title: 'control, C1 and bidirectional characters are escaped in every shape, and JSON stays exact',
      },
    ],
  },
} as const satisfies FaultTable;
