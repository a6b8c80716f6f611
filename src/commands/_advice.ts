// For every error code: what it means and what to do next, in the words of someone at a command line.
// `explain` prints it, and an error without a hint of its own gets its `next` from here. The type makes it complete.
import type { ErrorCode } from '../errors/errors.ts';

export interface Advice {
  readonly meaning: string;
  readonly next: string;
}

const advise = (meaning: string, next: string): Advice => ({ meaning, next });

const newCode = 'Make a new one: opera token create --role ROLE';
const lookAtStatus = 'See what is missing: opera status';
const retry = 'Repeat the command';
const bug = 'Repeat it with OPERA_DEBUG=1 and report what it prints';
const whichCopies = 'See which nodes hold copies: opera where NAME';

export const advice: Readonly<Record<ErrorCode, Advice>> = {
  usage: advise('The command line was not understood; nothing was done.', 'See the help: opera help VERB'),
  config: advise(
    'A setting, a config file or a secret file is wrong.',
    'Correct it; which settings are used: opera config view',
  ),
  'bad-request': advise(
    'A role refused a request as malformed: different versions of opera, or a damaged message.',
    'Compare the versions of both sides: opera version',
  ),
  'bad-name': advise(
    'Names have 1 to 1024 bytes of UTF-8, parts between single slashes, no control characters, no . or .. part.',
    'See the rules: opera help names',
  ),
  'too-large': advise('A message is above its limit.', 'Split it: fewer names or a narrower query at once'),
  'unsupported-encoding': advise('A request body came compressed, which roles refuse.', 'Send it uncompressed'),
  'method-not-allowed': advise('A route was called with the wrong HTTP method.', bug),
  timeout: advise('It took longer than --timeout or than the limit of a call.', 'Allow more: --timeout 5m'),
  'token-unknown': advise(
    'The network has no record of this join code: mistyped, removed, or of another network.',
    newCode,
  ),
  'token-expired': advise('Join codes live for an hour unless made otherwise.', newCode),
  'token-used': advise('The join code was used as often as it allows.', newCode),
  'token-invalid': advise(
    'The join code, or the proof made with it, is wrong: mistyped, cut or for another role.',
    newCode,
  ),
  'nonce-expired': advise('The gateway’s challenge lives for a minute and the answer came later.', retry),
  'wrong-authority': advise(
    'The gateway at that address does not belong to the network in the join code. Nothing secret was sent.',
    'Check the address in the code, and who answers there',
  ),
  unauthenticated: advise(
    'No valid certificate of the network was presented.',
    'Who am I here: opera whoami; to become a member: opera join CODE',
  ),
  forbidden: advise(
    'This member is known but may not do that; some verbs are for operators only.',
    'Who am I: opera whoami',
  ),
  revoked: advise(
    'The member was cut off from the network and stays so.',
    'Join anew with a new code: opera join CODE',
  ),
  'ticket-invalid': advise('A node refused a transfer that the master did not allow, or not for this member.', retry),
  'ticket-expired': advise('A transfer permission lives for a minute and was not renewed in time.', retry),
  'peer-mismatch': advise(
    'At that address answers a member other than the one expected. Nothing was sent to it.',
    'See who should be there: opera nodes ls',
  ),
  'rate-limited': advise('Too many requests came from this address.', 'Wait some seconds and repeat it'),
  'not-found': advise('There is no such file, version or member.', 'See what there is: opera ls'),
  exists: advise(
    'Something of that name is there already and was not touched.',
    'Use another name; get and mv replace with --force, put without --if-absent',
  ),
  conflict: advise(
    'A condition such as --if-version does not hold: another write came first.',
    'See its state: opera stat NAME',
  ),
  refused: advise(
    'What was ordered would leave data with fewer copies than the network is set to. Nothing was changed.',
    'Do first what the message names, or repeat it with --force',
  ),
  'hash-conflict': advise(
    'A node holds other bytes at the address of a chunk, and kept them.',
    'Put it without resuming: --no-resume',
  ),
  stale_follows: advise('Another write to the name came between; clients repeat this by themselves.', retry),
  stale_epoch: advise('The network key was rotated meanwhile; clients repeat this by themselves.', retry),
  'stale-incarnation': advise('The registry was restarted or replaced; clients repeat this by themselves.', retry),
  'stale-roster': advise('A role has an older list of members than another.', retry),
  'layout-changed': advise('Nodes came or went while data was written; clients repeat this by themselves.', retry),
  'upload-closed': advise('The upload was finished, given up or is older than 72 hours.', 'Put the file again'),
  'source-changed': advise(
    'The local file changed while it was read, so nothing was committed.',
    'Put it again when it rests',
  ),
  'chunks-missing': advise('Not every chunk has reached enough nodes.', lookAtStatus),
  'not-leader': advise('A master that does not lead was asked; clients ask the next one by themselves.', retry),
  'stale-leader': advise('A former leader gave an order and was refused. Nothing was lost.', lookAtStatus),
  integrity: advise('Bytes differ from their hash, tag or signature. They were not handed out.', whichCopies),
  'unknown-key': advise(
    'The data is sealed under a network key this member does not hold.',
    'Renew what this member holds: opera whoami; the keys: opera keys ls',
  ),
  'wrong-network': advise(
    'The data or member belongs to another network.',
    'See which network is used: opera config view',
  ),
  'no-space': advise('A disk or a quota is full, here or on nodes.', 'See the use of each node: opera nodes ls'),
  'read-only': advise(
    'A store stopped writing after a write error; it still serves reads.',
    'Check that machine’s disk, then restart the role',
  ),
  overloaded: advise('Too many requests are under way.', 'Wait some seconds and repeat it, or lower -j'),
  isolated: advise('A role has lost contact with its network and refuses service until it is back.', lookAtStatus),
  'not-ready': advise('A role is still starting.', 'Wait for it: opera status --wait healthy --timeout 60s'),
  'write-quorum': advise('Too few nodes are reachable for a durable write. Reads go on.', lookAtStatus),
  'no-nodes': advise(
    'The network has no nodes that could store anything.',
    'Start one: opera token create --role node',
  ),
  unavailable: advise(
    'No gateway or master of the network can be reached.',
    'Does it run? opera status; to start a local network: opera up',
  ),
  'registry-unavailable': advise('The registry cannot be reached; transfers under way go on.', lookAtStatus),
  'registry-lost': advise(
    'The registry answers but does not know this network: it was emptied or is another one.',
    'Does it look at the right one? opera config view; otherwise restore its backup',
  ),
  partial: advise('Some of it was done and some not; what failed is listed above.', 'Repeat it for what failed'),
  degraded: advise('It works, with fewer copies or members than the target.', lookAtStatus),
  'nothing-matched': advise('Nothing matched, and --fail-empty was given.', 'Widen the pattern or the query'),
  aborted: advise('It was interrupted or not confirmed.', 'Repeat it; put and get resume where they stopped'),
  internal: advise('Something happened that the program did not expect.', bug),
};
