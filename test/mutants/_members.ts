// Faults of joining, certificates, roles, revocation and tickets.
import type { FaultTable } from './mutant.ts';

const admission = 'test/roles/gateway/admission.test.ts';
const joining = 'test/identity/join.test.ts';
const certificates = 'test/identity/certificate.test.ts';
const listener = 'test/roles/listener.test.ts';
const dialling = 'test/client/http-transport.test.ts';
const tickets = 'test/identity/token-ticket.test.ts';
const serving = 'test/roles/node/serving.test.ts';

const bound = (story: string, from: string, to = 'if (use.nowMs < 0)') => ({
  story,
  file: 'src/identity/ticket.ts',
  from,
  to,
  test: tickets,
  title: 'each bound of a ticket holds on its own',
});

export const memberFaults = {
  'join-happy': {
    fault: 'a fresh join code',
    expected: 'a certificate, a place in the roster, keys for their owner alone, the code used up',
    mutants: [
      {
        story: 'key files that others may read',
        file: 'src/identity/identity-folder.ts',
        from: 'const fileMode = 0o600;',
        to: 'const fileMode = 0o644;',
        test: admission,
        title: 'a fresh code makes a member: listed, with keys that open, and the code used up',
      },
      {
        story: 'a member that no roster lists',
        file: 'src/roles/gateway/admission.ts',
        from: 'return known ? undefined : { addMembers: [verdict.member] };',
        to: 'return undefined;',
        test: admission,
        title: 'a fresh code makes a member: listed, with keys that open, and the code used up',
      },
    ],
  },
  'join-reuse': {
    fault: 'a code used twice, one after the other and by two at once',
    expected: 'exactly one gets in, the other is told that the code was used',
    mutants: [
      {
        story: 'the gateway takes no use of the code',
        file: 'src/roles/gateway/admission.ts',
        from: 'const outcome = await registry.takeToken(verdict.tokenId, keyHash);',
        to: "const outcome: string = 'taken';",
        test: admission,
        title: 'of two that use one code at once exactly one becomes a member',
      },
      {
        story: 'Redis counts one use too many',
        file: 'src/registry/scripts/take-token.lua',
        from: 'if #uses >= cjson',
        to: 'if #uses > cjson',
        test: 'test/registry/redis.test.ts',
        title: 'gives exactly the uses a token has to different keys of two clients at once',
      },
      {
        story: 'SQLite counts one use too many',
        file: 'src/registry/_sqlite-members.ts',
        from: 'if (keys.length >= token.uses_max)',
        to: 'if (keys.length > token.uses_max)',
        test: 'test/registry/sqlite.test.ts',
        title: 'gives exactly the uses a token has to different keys of two clients at once',
      },
    ],
    tests: [{ test: 'test/e2e/identity.test.ts', title: 'of two machines at once exactly one gets in' }],
  },
  'join-expired': {
    fault: 'a code whose life is over, on a clock an hour later',
    expected: '`token-expired`',
    mutants: [
      {
        story: 'codes live for ever',
        file: 'src/identity/token.ts',
        from: 'if (context.nowMs >= token.expiresMs) {',
        to: 'if (token.expiresMs < 0) {',
        test: admission,
        title: 'a code is refused when its hour has passed',
      },
      {
        story: 'nonces live for ever',
        file: 'src/identity/join.ts',
        from: 'Math.abs(context.nowMs - madeMs) >= limits.joinNonceLifeMs',
        to: 'madeMs < 0',
        test: joining,
        title: 'a nonce is good for a minute at any gateway, under the newest key and the one before',
      },
    ],
    tests: [{ test: 'test/e2e/identity.test.ts', title: 'codes that expired, were taken back' }],
  },
  'join-wrong-ca': {
    fault: 'a gateway with an authority of its own, or the right bundle with one root more',
    expected: 'the joiner stops before anything of the code was sent',
    mutants: [
      {
        story: 'the pin is not compared',
        file: 'src/client/join-network.ts',
        from: 'if (!equalBytes(pinOf(bytes), code.pin)) {',
        to: 'if (bytes.length === 0) {',
        test: 'test/roles/gateway/over-http.test.ts',
        title: 'a gateway with an authority of its own sees a request for the bundle and nothing else',
      },
      {
        story: 'the second connection is not verified either',
        file: 'src/client/http-transport.ts',
        from: 'allowH2: false,\n        maxCachedSessions: 0,',
        to: 'allowH2: false,\n        rejectUnauthorized: false,\n        maxCachedSessions: 0,',
        test: 'test/roles/gateway/over-http.test.ts',
        title: 'a gateway with an authority of its own sees a request for the bundle and nothing else',
      },
    ],
    tests: [
      { test: 'test/e2e/identity.test.ts', title: 'a gateway that is not of the network learns nothing of the code' },
    ],
  },
  'join-role': {
    fault: 'a code for a node asking to be a master; requests for an authority, foreign names, RSA keys',
    expected: 'the role is the code’s, extensions are ignored, other keys refused',
    mutants: [
      {
        story: 'the role is taken from the request',
        file: 'src/identity/join.ts',
        from: 'if (request.role !== token.role) {',
        to: 'if (request.csr.length === 0) {',
        test: joining,
        title: 'each thing a join needs is missed with its own code',
      },
      {
        story: 'any public key is taken',
        file: 'src/identity/certificate.ts',
        from: 'spki = parseSpki(new Uint8Array(request.publicKey.rawData));',
        to: 'spki = new Uint8Array(request.publicKey.rawData);',
        test: certificates,
        title: 'a request with an RSA key is refused',
      },
      {
        story: 'certificates are issued with the rights of an authority',
        file: 'src/identity/authority.ts',
        from: 'new x509.BasicConstraintsExtension(false, undefined, true)',
        to: 'new x509.BasicConstraintsExtension(true, undefined, true)',
        test: certificates,
        title: 'a request for an authority, foreign names and other usages yields a plain member certificate',
      },
    ],
  },
  'join-id-theft': {
    fault: 'the id of a member with another key; a join request replayed with another key or CSR in it',
    expected: 'refused',
    mutants: [
      {
        story: 'a member’s key joins anew with other keys or another role',
        file: 'src/identity/join.ts',
        from: 'if (known.role !== member.role || !equalBytes(known.x25519, member.x25519)) {',
        to: 'if (known.role.length === 0) {',
        test: admission,
        title: 'a key that is a member cannot come back with another role or X25519 key',
      },
      {
        story: 'the id in a certificate is believed without its key',
        file: 'src/identity/certificate.ts',
        from: 'if (uri[3] !== memberId)',
        to: 'if (!memberId)',
        test: certificates,
        title: 'certificates that are not exactly of our form are no member certificates',
      },
      {
        story: 'the code does not sign which key it admits',
        file: 'src/identity/join.ts',
        from: '    sha256(utf8(joinAddresses(statement.addresses))),\n    sha256(statement.csr),',
        to: '    sha256(utf8(joinAddresses(statement.addresses))),',
        test: joining,
        title: 'nothing that the code signed can be exchanged on the way',
      },
    ],
  },
  'mtls-matrix': {
    fault: 'no certificate, one of another authority, expired, of tomorrow, for other uses, of a revoked member',
    expected: 'the handshake fails or the request is refused, and the caller is told why',
    mutants: [
      {
        story: 'a listener asks for no certificate',
        file: 'src/roles/listener.ts',
        from: 'rejectUnauthorized: mutual,',
        to: 'rejectUnauthorized: false,',
        test: dialling,
        title: 'is refused by the handshake, and told about its own certificate',
      },
      {
        story: 'the uses a certificate is for are not looked at',
        file: 'src/identity/certificate.ts',
        from: 'if (!usages.every((usage) => extended.includes(usage)))',
        to: 'if (extended.length > 9)',
        test: 'test/identity/odd-certificates.test.ts',
        title: 'a certificate that is not for both sides of TLS, of an authority, or with another name is kept out',
      },
      {
        story: 'authorities pass as members',
        file: 'src/identity/certificate.ts',
        from: 'if (certificate.ca)',
        to: 'if (der.length === 0)',
        test: 'test/identity/odd-certificates.test.ts',
        title: 'a certificate that is not for both sides of TLS, of an authority, or with another name is kept out',
      },
      {
        story: 'a certificate that ran out on an open connection goes on',
        file: 'src/roles/listener.ts',
        from: 'if (known?.roster === roster && clock.nowMs() < known.notAfterMs) return known.peer;',
        to: 'if (known?.roster === roster) return known.peer;',
        test: listener,
        title: 'a certificate that expires while its connection is open is refused from then on',
      },
      {
        story: 'revoked members pass',
        file: 'src/identity/peer-check.ts',
        from: "if (member.state === 'revoked') {",
        to: "if (member.state === ('none' as string)) {",
        test: certificates,
        title: 'a peer passes only as the valid member, role and network that the caller expects',
      },
      {
        story: 'whoever has a certificate passes, listed or not',
        file: 'src/identity/peer-check.ts',
        from: 'if (roster) listed(claims, roster);',
        to: 'if (roster) expectation satisfies object;',
        test: listener,
        title: 'a key that the roster does not list is kept out, though its certificate is good',
      },
      {
        story: 'whoever answers at an address is taken for the member that was dialled',
        file: 'src/identity/peer-check.ts',
        from: 'if (expectation.memberId !== undefined && expectation.memberId !== claims.memberId) {',
        to: "if (expectation.memberId === ('' as string)) {",
        test: dialling,
        title: 'no byte of a request leaves before the other side is checked',
      },
    ],
  },
  'route-role-matrix': {
    fault: 'every route asked by every role, and without a certificate',
    expected: 'exactly those that the table lets in get in',
    mutants: [
      {
        story: 'any member may ask anything',
        file: 'src/roles/listener.ts',
        from: "if (allow !== 'anyone' && (!peer || !allow.includes(peer.role)))",
        to: "if (allow !== 'anyone' && !peer)",
        test: listener,
        title: 'every route lets in exactly the roles of the table, and a table with one role more is noticed',
      },
      {
        story: 'the join listener serves the routes of the mesh',
        file: 'src/wire/routes.ts',
        from: 'return at === listener && (on === role',
        to: "return (at === listener || listener === 'join') && (on === role",
        test: listener,
        title: 'without a certificate nothing but joining can be asked for',
      },
    ],
  },
  'revoke-live': {
    fault: 'a member revoked while its connections are open, one of them in the middle of a download',
    expected: 'refused at its next request, and cut off',
    mutants: [
      {
        story: 'open connections are left alone',
        file: 'src/roles/listener.ts',
        from: "if (member?.state === 'valid') continue;\n      socket.destroy();",
        to: "if (member?.state === 'valid') continue;",
        test: listener,
        title: 'a revoked member is refused on its open connection, and cut off in the middle of a download',
      },
      {
        story: 'a connection is judged once, when it is opened',
        file: 'src/roles/listener.ts',
        from: 'if (known?.roster === roster && clock.nowMs() < known.notAfterMs) return known.peer;',
        to: 'if (known && clock.nowMs() < known.notAfterMs) return known.peer;',
        test: listener,
        title: 'a revoked member is refused on its open connection, and cut off in the middle of a download',
      },
      {
        story: 'calls to a revoked member go on',
        file: 'src/client/http-transport.ts',
        from: 'const isRevoked = (keyHash: KeyHash): boolean => !isValidMember(roster, keyHash);',
        to: 'const isRevoked = (keyHash: KeyHash): boolean => !keyHash && !isValidMember(roster, keyHash);',
        test: dialling,
        title: 'calls under way with a member that is revoked are cut',
      },
      {
        story: 'a role that hears of a revocation cuts nobody off',
        file: 'src/commands/_compose.ts',
        from: 'listeners.reduce((total, listener) => total + listener.dropRevoked(), 0)',
        to: '0 * listeners.length',
        test: 'test/e2e/identity.test.ts',
        title: 'a revoked client is cut off when the verb ends, in the middle of a download too, and stays out',
      },
    ],
  },
  'ticket-abuse': {
    fault: 'a ticket for another object, operation, client, size, life or time, unsigned or altered; a put replayed',
    expected: 'refused; a repeated put changes nothing',
    mutants: [
      bound('a ticket is good for any operation', 'if (ticket.operation !== use.operation)'),
      bound('a ticket is good for any client', 'if (ticket.client !== trust.client)', 'if (trust.nowMs < 0)'),
      bound('a ticket is good for any version', 'if (!covers(ticket, use.versions))'),
      bound(
        'a ticket is good for any number of chunks',
        'if (use.chunkIndex !== undefined && use.chunkIndex >= ticket.chunkLimit)',
      ),
      bound(
        'anybody signs tickets',
        "if (!isValidMember(trust.roster, ticket.signer, 'master'))",
        'if (trust.nowMs < 0)',
      ),
      {
        ...bound(
          'signatures of tickets are not verified',
          "if (!verifySignature(record.signerSpki, ticket.signature, 'opera/ticket/v1', body))",
          'if (body.length === 0)',
        ),
        title: 'no byte of a ticket can be changed, cut or added',
      },
      {
        ...bound('tickets live for ever', 'if (nowMs + clockOffsetMs < expiresMs + limits.clockToleranceMs + graceMs)'),
        to: 'if (expiresMs > 0)',
        title: 'lives by the masters',
      },
      {
        ...bound('tickets of an older life of the registry pass', 'if (ticket.incarnation < use.incarnation) {'),
        to: 'if (use.nowMs < 0) {',
        title: 'a ticket of an older life of the registry is expired; one of a newer life passes',
      },
      {
        story: 'a node stores chunks of versions that the ticket is not for',
        file: 'src/roles/node/store.ts',
        from: 'if (!allowed.has(version)) throw',
        to: 'if (allowed.size > 1_000) throw',
        test: serving,
        title: 'a ticket is for its client, versions, operation, time and life of the registry',
      },
      {
        story: 'a node gives chunks of versions that the ticket is not for',
        file: 'src/roles/node/serve.ts',
        from: 'if (request.chunks.some(({ version }) => !allowed.has(version))) throw',
        to: 'if (allowed.size > 1_000) throw',
        test: serving,
        title: 'a ticket to read is for its client, its versions and their chunks',
      },
      {
        story: 'a node gives chunks without a ticket',
        file: 'src/roles/node/serve.ts',
        from: "const isClient = peer.role !== 'node' || request.ticket !== undefined;",
        to: 'const isClient = request.ticket !== undefined;',
        test: serving,
        title: 'a client needs a ticket, ranges are cut, and what does not fit is asked for again',
      },
      {
        story: 'a node looks at the first chunk that is asked for, and not at the last',
        file: 'src/roles/node/serve.ts',
        from: 'const chunkIndex = Math.max(',
        to: 'const chunkIndex = Math.min(',
        test: serving,
        title: 'a ticket to read is for its client, its versions and their chunks',
      },
      {
        story: 'a chunk is overwritten by a put that is repeated with other bytes',
        file: 'src/roles/node/store.ts',
        from: "if (outcomes.includes('conflict')) throw new OperaError('hash-conflict');",
        to: "if (outcomes.length === 0) throw new OperaError('hash-conflict');",
        test: serving,
        title: 'a chunk is on W owners when it is answered; repeating is harmless, other bytes are refused',
      },
    ],
    tests: [
      { test: 'test/roles/node/tickets.test.ts', title: 'a ticket opens the routes of its operation and no others' },
    ],
  },
  'ssrf-source': {
    fault: 'addresses of services inside, names, URLs and redirects where a node’s address belongs',
    expected: 'refused; nodes dial members of the roster only, and send nothing to anybody else',
    mutants: [
      {
        story: 'a node announces a name instead of an address',
        file: 'src/roles/gateway/members.ts',
        from: 'checkAddresses(peer.role, request.addresses);',
        to: '',
        test: 'test/roles/gateway/rosters.test.ts',
        title: 'a node is found at a literal address only, and users have none',
      },
    ],
    tests: [
      { test: joining, title: 'a node joins with literal addresses only' },
      { test: serving, title: 'come from masters alone, and no message names an address that a node would dial' },
      { test: dialling, title: 'no byte of a request leaves before the other side is checked' },
    ],
  },
} as const satisfies FaultTable;
