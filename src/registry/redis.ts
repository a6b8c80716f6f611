// The registry in Redis: every step is one Lua script or one read-only run of fixed commands, so it is atomic.
// Invariant: the run id of the connection goes with each step that the life of the database gates.
// Redis must run with AOF on; Sentinel addresses are accepted, Redis Cluster is not (steps span keys).
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import type { KeyHash, MemberId, NetworkId, OperationId, VersionId } from '../model/ids.ts';
import type { SignedRecord } from '../model/signed-record.ts';
import * as check from './_check.ts';
import { rebuildPlacements } from './_rebuild.ts';
import * as codec from './_redis-codec.ts';
import { type Argument, RedisConnection, type RedisConnectionOptions } from './_redis-connection.ts';
import { scripts } from './_redis-scripts.ts';
import { encodeChange, encodeRestore, pageBounds, placementWork, readPublicKeys } from './_redis-names.ts';
import { redisKeys } from './keys.ts';
import type { CatalogueEntry, CatalogueQuery } from './catalogues.ts';
import type { EpochRecords, NameWrap, StoredKeyBox } from './epoch-records.ts';
import type { ClusterEvent, StoredEvent } from './events.ts';
import type * as contract from './registry.ts';
import type { LostNetwork, RestoreStep } from './restore.ts';
import type { FirstRoster, RosterSwap } from './roster-swap.ts';
import type { StoredToken, TakeTokenOutcome } from './tokens.ts';

export type RedisRegistryOptions = RedisConnectionOptions;

/** See swap-roster.lua: the chain record, then boxes. */
const encodeKeys = (keys: EpochRecords | undefined): readonly Argument[] => {
  if (!keys) return [];
  const { boxes, chain } = keys;
  const packed = boxes.flatMap(({ recipient, kind, epoch, box }) => [
    recipient,
    `${kind}:${epoch}`,
    codec.packRecord(box),
  ]);
  return [chain.epoch, chain.record, ...packed];
};

type Command = readonly [string, ...Argument[]];

export class RedisRegistry implements contract.Registry {
  readonly #connection: RedisConnection;

  constructor(options: RedisRegistryOptions) {
    this.#connection = new RedisConnection(options);
  }

  /** Fixed commands in one atomic run, when the database knows a network. */
  async #commands(...commands: readonly Command[]): Promise<readonly unknown[]> {
    const args = commands.flatMap((words) => [words.length, ...words]);
    return codec.listOf(await this.#connection.run(scripts.run, () => args));
  }

  #run(name: keyof typeof scripts, ...args: readonly Argument[]): Promise<unknown> {
    return this.#connection.run(scripts[name], () => args);
  }

  /** A step that the life of the database gates: the run id goes first. */
  #runLiving(name: keyof typeof scripts, ...args: readonly Argument[]): Promise<unknown> {
    return this.#connection.run(scripts[name], (runId) => [runId, ...args]);
  }

  async createNetwork(networkId: NetworkId, first: FirstRoster, again?: LostNetwork): Promise<contract.RegistryLife> {
    const { number, hash, keyEpoch, roster } = first;
    // Leftovers first: whoever makes the network meanwhile ends the wiping of everybody else.
    for (let cursor = '0'; again; ) {
      cursor = codec.textOf(await this.#run('wipe', cursor));
      if (cursor === '0') break;
    }
    await this.#runWith('createNetwork', (runId) => {
      return [networkId, runId, number, hash, keyEpoch, codec.packRecord(roster), again?.incarnation ?? ''];
    });
    return this.readLife();
  }

  #runWith(name: keyof typeof scripts, argsOf: (runId: string) => readonly Argument[]): Promise<unknown> {
    return this.#connection.run(scripts[name], argsOf);
  }

  async readLife(): Promise<contract.RegistryLife> {
    let lifeId = '';
    const reply = await this.#connection.run(scripts.run, (runId) => {
      lifeId = runId;
      return [2, 'HGETALL', redisKeys.life];
    });
    return codec.decodeLife(codec.listOf(reply)[0], lifeId);
  }

  async raiseIncarnation(expect: number, atLeast = 0): Promise<contract.RegistryLife | undefined> {
    const raised = await this.#runLiving('raiseIncarnation', expect, atLeast);
    return raised === 1 ? this.readLife() : undefined;
  }

  async settle(incarnation: number, sequence: bigint, epoch?: bigint): Promise<boolean> {
    check.checkSequence(sequence);
    return (await this.#runLiving('settle', incarnation, sequence, epoch ?? '')) === 1;
  }

  async forgetNetwork(incarnation: number): Promise<boolean> {
    return (await this.#runLiving('forgetNetwork', incarnation)) === 1;
  }

  async readRoster(): Promise<SignedRecord | undefined> {
    const [record] = await this.#commands(['HGET', redisKeys.roster, 'record']);
    return record === null ? undefined : codec.unpackRecord(record);
  }

  async swapRoster(swap: RosterSwap): Promise<boolean> {
    check.checkRosterSwap(swap);
    const { expectNumber, expectHash, number, hash, keyEpoch, roster, keep } = swap;
    const record = codec.packRecord(roster);
    const args = [expectNumber, expectHash, number, hash, keyEpoch, record, keep ? '1' : '', ...encodeKeys(swap.keys)];
    return (await this.#run('swapRoster', ...args)) === 1;
  }

  async listKeptRosters(after: bigint): Promise<readonly SignedRecord[]> {
    const [kept] = await this.#commands(['HGETALL', redisKeys.keptRosters]);
    const rosters = [...codec.fieldsOf(kept)].map(([number, record]) => ({ number: BigInt(number), record }));
    const newer = rosters.filter(({ number }) => number > after).sort((a, b) => (a.number < b.number ? -1 : 1));
    return newer.map(({ record }) => codec.unpackRecord(record));
  }

  async putMember(member: contract.MemberRecord, from?: contract.MemberState | 'none'): Promise<boolean> {
    check.checkNodes(member.addresses);
    const { memberId, state, stateReason, stateSinceMs, role, addresses } = member;
    const address = role === 'node' ? (addresses[0] ?? '') : '';
    const args = [memberId, codec.encodeMember(member), state, stateReason, stateSinceMs, address, from ?? '', ''];
    return (await this.#run('putMember', ...args)) === 1;
  }

  async getMember(memberId: MemberId): Promise<contract.MemberRecord | undefined> {
    const [record, state] = await this.#commands(
      ['HGET', redisKeys.members, memberId],
      ['HGET', redisKeys.memberStates, memberId],
    );
    return record === null ? undefined : codec.decodeMember(record, state);
  }

  async listMembers(): Promise<readonly contract.MemberRecord[]> {
    const replies = await this.#commands(['HGETALL', redisKeys.members], ['HGETALL', redisKeys.memberStates]);
    const [records, states] = replies.map(codec.fieldsOf);
    return [...(records ?? [])].map(([memberId, record]) => codec.decodeMember(record, states?.get(memberId)));
  }

  async setMemberState(
    memberId: MemberId,
    state: contract.MemberState,
    reason: string,
    from?: contract.MemberState,
    epoch?: bigint,
  ): Promise<boolean> {
    return (await this.#run('putMember', memberId, '', state, reason, '', '', from ?? '', epoch ?? '')) === 1;
  }

  async putKeyBoxes(boxes: readonly StoredKeyBox[]): Promise<void> {
    const commands = boxes.flatMap(({ recipient, kind, epoch, box }): Command[] => [
      ['SADD', redisKeys.boxRecipients, recipient],
      ['HSET', `${redisKeys.boxesOf}${recipient}`, `${kind}:${epoch}`, codec.packRecord(box)],
    ]);
    await this.#commands(...commands);
  }

  async listKeyBoxes(recipient?: KeyHash): Promise<readonly StoredKeyBox[]> {
    const [all] = recipient === undefined ? await this.#commands(['SMEMBERS', redisKeys.boxRecipients]) : [[]];
    const recipients =
      recipient === undefined ? codec.listOf(all).map((key) => codec.textOf(key) as KeyHash) : [recipient];
    const replies = await this.#commands(
      ...recipients.map((key): Command => ['HGETALL', `${redisKeys.boxesOf}${key}`]),
    );
    return replies.flatMap((reply, at) =>
      [...codec.fieldsOf(reply)].flatMap(([field, record]) => {
        const [kind, epoch] = field.split(':').map(Number);
        const key = recipients[at];
        if (key === undefined || epoch === undefined || (kind !== 1 && kind !== 2 && kind !== 3)) return [];
        return { recipient: key, kind, epoch, box: codec.unpackRecord(record) } satisfies StoredKeyBox;
      }),
    );
  }

  async putKeyChain(epoch: number, record: Uint8Array): Promise<void> {
    await this.#commands(['HSETNX', redisKeys.chain, epoch, record]);
  }

  async listKeyChain(): Promise<ReadonlyMap<number, Uint8Array>> {
    const [links] = await this.#commands(['HGETALL', redisKeys.chain]);
    return new Map([...codec.fieldsOf(links)].map(([epoch, record]) => [Number(epoch), codec.bytesOf(record)]));
  }

  async putToken(token: Omit<StoredToken, 'usedBy'>): Promise<void> {
    await this.#commands(['HSETNX', redisKeys.tokens, token.tokenId, codec.encodeToken(token)]);
  }

  async getToken(tokenId: string): Promise<StoredToken | undefined> {
    const [token, uses] = await this.#commands(
      ['HGET', redisKeys.tokens, tokenId],
      ['LRANGE', `${redisKeys.tokenUses}${tokenId}`, 0, -1],
    );
    return token === null ? undefined : codec.decodeToken(token, uses);
  }

  async listTokens(): Promise<readonly StoredToken[]> {
    const [ids] = await this.#commands(['HKEYS', redisKeys.tokens]);
    const tokens = await Promise.all(codec.listOf(ids).map((id) => this.getToken(codec.textOf(id))));
    return tokens.flatMap((token) => token ?? []);
  }

  async removeToken(tokenId: string): Promise<boolean> {
    const [removed] = await this.#commands(
      ['HDEL', redisKeys.tokens, tokenId],
      ['DEL', `${redisKeys.tokenUses}${tokenId}`],
    );
    return removed === 1;
  }

  async takeToken(tokenId: string, key: KeyHash): Promise<TakeTokenOutcome> {
    return codec.textOf(await this.#run('takeToken', tokenId, key)) as TakeTokenOutcome;
  }

  async readLease(): Promise<contract.Lease | undefined> {
    const [lease] = await this.#commands(['HGETALL', redisKeys.lease]);
    return codec.decodeLease(lease);
  }

  async takeLease(
    { memberId, instance, address }: contract.LeaseHolder,
    seen: contract.LeaseSeen | undefined,
    above = 0n,
  ): Promise<contract.Lease | undefined> {
    const args = [memberId, instance, address, seen?.epoch ?? '', seen?.renewal ?? '', above];
    return codec.decodeLease(await this.#run('takeLease', ...args));
  }

  async renewLease(epoch: bigint, instance: string): Promise<contract.Lease | undefined> {
    return codec.decodeLease(await this.#run('renewLease', epoch, instance, ''));
  }

  async releaseLease(epoch: bigint, instance: string): Promise<void> {
    await this.#run('renewLease', epoch, instance, '1');
  }

  async readLayouts(): Promise<contract.LayoutState> {
    const [layouts, retired] = await this.#commands(
      ['HGETALL', redisKeys.layouts],
      ['HGET', redisKeys.life, 'retired'],
    );
    const unretired = [...codec.fieldsOf(layouts)].map(([number, record]) => {
      return { number: Number(number), layout: codec.unpackRecord(record) };
    });
    return { unretired: unretired.sort((a, b) => a.number - b.number), retiredUpTo: codec.numberOf(retired) };
  }

  async appendLayout({ number, layout }: contract.StoredLayout, incarnation: number, epoch?: bigint): Promise<boolean> {
    const args = [number, codec.packRecord(layout), epoch ?? ''];
    return (await this.#runLiving('appendLayout', incarnation, ...args)) === 1;
  }

  async retireLayouts(upTo: number, incarnation: number, epoch?: bigint): Promise<void> {
    await this.#runLiving('retireLayouts', incarnation, upTo, epoch ?? '');
  }

  async openUploads(open: contract.OpenUploads): Promise<readonly (contract.NameVersion | undefined)[]> {
    check.checkNames(open.uploads.map((upload) => upload.name));
    const uploads = open.uploads.flatMap(({ version, name }) => [version, name]);
    const replies = await this.#runLiving('openUploads', open.incarnation, open.layoutNumber, ...uploads);
    return codec.listOf(replies).map((reply) => {
      const [version, sequence] = codec.listOf(reply);
      return codec.decodeVersion(version, sequence);
    });
  }

  async listOpenUploads(versions: readonly VersionId[]): Promise<readonly VersionId[]> {
    const replies = await this.#commands(
      ...versions.map((version): Command => ['HEXISTS', redisKeys.uploadNames, version]),
    );
    return versions.filter((_, at) => replies[at] === 1);
  }

  async expireUploads(ageMs: number): Promise<number> {
    return codec.numberOf(await this.#run('expireUploads', ageMs, check.batchMax));
  }

  async commit(step: contract.CommitStep): Promise<readonly contract.ChangeOutcome[]> {
    check.checkCommit(step);
    const { incarnation, layoutNumber, uploadAgeMaxMs } = step;
    const changes = step.changes.flatMap(encodeChange);
    const bounds = [layoutNumber, uploadAgeMaxMs, limits.outcomeKeptMs / 1000];
    return codec.listOf(await this.#runLiving('commit', incarnation, ...bounds, ...changes)).map(codec.decodeOutcome);
  }

  async getOutcome(operationId: OperationId): Promise<contract.ChangeOutcome | undefined> {
    const fields = ['sequence', 'incarnation', 'replaced_version', 'replaced_sequence'];
    const [kept] = await this.#commands(['HMGET', `${redisKeys.outcome}${operationId}`, ...fields]);
    const values = codec.listOf(kept);
    const yes = Buffer.from('1');
    return values[0] === null ? undefined : codec.decodeOutcome([1, ...values, yes, yes]);
  }

  async clearPending(sequences: readonly bigint[]): Promise<void> {
    await this.#run('clearPending', limits.manifestBodyBytesKept, ...sequences);
  }

  async #pending(kind: 'sequence' | 'names' | 'oldest', ...args: readonly Argument[]) {
    const reply = await this.#connection.run(scripts.listPending, (runId) => [kind, runId, ...args]);
    return codec.listOf(reply).map(codec.decodePending);
  }

  async getPending(sequence: bigint): Promise<contract.PendingChange | undefined> {
    const [found] = await this.#pending('sequence', sequence);
    return found;
  }

  async listPending(limit: number, after = 0n): Promise<readonly contract.PendingChange[]> {
    check.checkLimit(limit);
    check.checkSequence(after);
    return this.#pending('oldest', limit, after);
  }

  async listPendingOf(names: readonly string[]): Promise<readonly contract.PendingChange[]> {
    check.checkNames(names);
    return this.#pending('names', ...names);
  }

  async getNames(names: readonly string[]): Promise<readonly (contract.NameRecord | undefined)[]> {
    check.checkNames(names);
    return codec.listOf(await this.#runLiving('getNames', ...names)).map(codec.decodeName);
  }

  async listNames(query: contract.NameQuery): Promise<contract.NamePage> {
    check.checkLimit(query.limit);
    check.checkPrefix(query.prefix);
    const found = codec.listOf(await this.#runLiving('listNames', ...pageBounds(query), query.limit + 1));
    const records = found.slice(0, query.limit).flatMap((reply) => codec.decodeName(reply) ?? []);
    return { records, next: found.length > query.limit ? records.at(-1)?.name : undefined };
  }

  async listCatalogues(query: CatalogueQuery): Promise<readonly CatalogueEntry[]> {
    check.checkCatalogueQuery(query);
    const found = await this.#runLiving('listCatalogues', ...pageBounds(query), query.max);
    if (found === null) throw check.tooManyCatalogues(query.max);
    return codec.listOf(found).map(codec.decodeCatalogue);
  }

  async countNames(): Promise<number> {
    const [count] = await this.#commands(['ZCARD', redisKeys.names]);
    return codec.numberOf(count);
  }

  async replaceWraps(incarnation: number, wraps: readonly NameWrap[]): Promise<number> {
    check.checkWraps(wraps);
    const args = wraps.flatMap(({ name, version, sequence, wrap }) => {
      return [name, version, sequence, check.wrapEpoch(wrap), wrap];
    });
    return codec.numberOf(await this.#runLiving('replaceWraps', incarnation, ...args));
  }

  rebuildPlacements(layoutNumber: number, read: () => Promise<contract.AddressesOf>): Promise<void> {
    const run = (...args: readonly Argument[]) => this.#run('placements', layoutNumber, ...args);
    return rebuildPlacements(read, placementWork(run));
  }

  async placementsLayout(): Promise<number> {
    const [number] = await this.#commands(['HGET', redisKeys.life, 'placements']);
    return codec.numberOf(number);
  }

  async restore(step: RestoreStep): Promise<void> {
    check.checkRestore(step);
    await this.#runLiving('restore', ...encodeRestore(step));
  }

  async appendEvent(event: ClusterEvent): Promise<void> {
    check.checkEvent(event);
    const json = JSON.stringify(event);
    await this.#commands(['XADD', redisKeys.events, 'MAXLEN', '~', check.eventsKept, '*', 'event', json]);
  }

  async listEvents(after: string | undefined, limit: number): Promise<readonly StoredEvent[]> {
    check.checkLimit(limit);
    if (after !== undefined && !/^\d{1,20}-\d{1,20}$/.test(after)) {
      throw new OperaError('bad-request', 'the event id is malformed');
    }
    const from = after === undefined ? '-' : `(${after}`;
    const [entries] = await this.#commands(['XRANGE', redisKeys.events, from, '+', 'COUNT', limit]);
    return codec.listOf(entries).map((entry) => {
      const [id, flat] = codec.listOf(entry);
      const event = JSON.parse(codec.textOf(codec.fieldsOf(flat).get('event'))) as ClusterEvent;
      return { ...event, memberId: event.memberId, id: codec.textOf(id) };
    });
  }

  async readPublicKeys(): Promise<ReadonlyMap<string, readonly string[]>> {
    await this.readLife();
    return readPublicKeys((name, ...args) => this.#connection.command(name, args));
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}
