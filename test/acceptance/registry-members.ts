// The part of the registry's acceptance suite that is not about names: life, rosters, members, keys, tokens, leases,
// layouts. Run by testRegistry in registry.ts.
import assert from 'node:assert/strict';
import * as build from '../support/registry-builders.ts';
import type { RegistryTest } from './registry.ts';

export const testRegistryMembers = (it: RegistryTest): void => {
  testLife(it);
  testLoss(it);
  testRosters(it);
  testMembers(it);
  testKeys(it);
  testTokens(it);
  testLeases(it);
  testLayouts(it);
};

const testLife = (it: RegistryTest): void => {
  it('knows no network before createNetwork and says so in every kind of call', async ({ registry }) => {
    await assert.rejects(registry.readLife(), { code: 'registry-lost' });
    await assert.rejects(registry.readRoster(), { code: 'registry-lost' });
    await assert.rejects(registry.getNames(['a']), { code: 'registry-lost' });
    await assert.rejects(registry.putMember(build.member('n1')), { code: 'registry-lost' });
    await assert.rejects(registry.takeToken('t', build.client), { code: 'registry-lost' });
    await assert.rejects(registry.raiseIncarnation(0), { code: 'registry-lost' });
    const change = build.put('a', build.newVersion());
    await assert.rejects(registry.commit(build.step([change])), { code: 'registry-lost' });
  });

  it('creates a network once, and two clients see the same life', async ({ registry, other }) => {
    const created = await registry.createNetwork(build.networkId, build.firstRoster);
    const { networkId, incarnation, sequence, keyEpoch, lifeId, raisedUnder } = created;
    assert.deepEqual([networkId, incarnation, sequence, keyEpoch], [build.networkId, 1, 0n, 1]);
    assert.equal(lifeId, raisedUnder);
    assert.ok(lifeId.length > 0);
    const second = other();
    await assert.rejects(second.createNetwork(build.networkId, build.firstRoster), { code: 'exists' });
    assert.deepEqual(await second.readLife(), created);
  });

  it('raises the incarnation from the expected one only, and by more when asked', async ({ registry, other }) => {
    await build.createNetwork(registry);
    const raised = await Promise.all([registry.raiseIncarnation(1), other().raiseIncarnation(1)]);
    assert.equal(raised.filter((life) => life !== undefined).length, 1);
    assert.equal((await registry.readLife()).incarnation, 2);
    assert.equal((await registry.raiseIncarnation(2, 17))?.incarnation, 17);
    assert.equal(await registry.raiseIncarnation(2), undefined);
    assert.equal(await registry.appendLayout({ number: 2, layout: build.record('l') }, 2), false);
    assert.equal(await registry.settle(17, 0n), true);
    const change = build.put('a', build.newVersion());
    assert.equal(build.codeOf(await build.commitOne(registry, change)), 'stale-incarnation');
  });
};

const holder = (name: string) => ({
  memberId: build.member(name).memberId,
  instance: name.repeat(32),
  address: `${name}:1`,
});

const testLoss = (it: RegistryTest): void => {
  it('answers no names between raising the incarnation and settling it, and takes what is restored', async (run) => {
    const { registry } = run;
    await build.createNetwork(registry);
    const put = await build.putName(registry, 'a');
    assert.equal((await registry.readLife()).settled, true);
    const raised = await registry.raiseIncarnation(1, 5);
    assert.deepEqual([raised?.settled, raised?.raisedUnder], [false, raised?.lifeId]);
    const second = run.other();
    const stale = { code: 'stale-incarnation' };
    await assert.rejects(second.getNames(['a']), stale);
    await assert.rejects(second.listNames({ prefix: '', limit: 1 }), stale);
    await assert.rejects(second.listPendingOf(['a']), stale);
    await assert.rejects(second.retireLayouts(1, 5), stale);
    assert.equal(await second.appendLayout({ number: 2, layout: build.record('l') }, 5), false);
    const change = build.remove('a', put.version, put.sequence);
    assert.equal(build.codeOf(await build.commitOne(second, change, { incarnation: 5 })), 'stale-incarnation');
    await assert.rejects(second.restore({ incarnation: 4 }), stale);
    await second.restore({ incarnation: 5, dead: [{ name: 'a', sequence: put.sequence + 1n }] });
    assert.equal(await registry.settle(4, 0n), false);
    const sequence = put.sequence + 1_000_000_000_000n;
    assert.equal(await registry.settle(5, sequence), true);
    assert.equal(await second.settle(5, 1n), true);
    assert.deepEqual(await second.getNames(['a']), [undefined]);
    const life = await second.readLife();
    assert.deepEqual([life.settled, life.sequence], [true, sequence]);
  });

  it('forgets a network, and makes it again with nothing of what it held', async ({ registry, other }) => {
    await build.createNetwork(registry);
    await registry.putMember(build.member('n1'));
    await build.putName(registry, 'a', ['n1:1']);
    await registry.putKeyChain(1, new Uint8Array(77));
    const holder = { memberId: build.member('m').memberId, instance: 'i', address: 'm:1' };
    await registry.takeLease(holder, undefined);
    assert.equal(await registry.forgetNetwork(2), false);
    assert.equal(await registry.forgetNetwork(1), true);
    await assert.rejects(registry.readLife(), { code: 'registry-lost' });
    const again = await Promise.allSettled(
      [registry, other()].map((each) => each.createNetwork(build.networkId, build.firstRoster, { incarnation: 9 })),
    );
    assert.ok(again.some(({ status }) => status === 'fulfilled'));
    const life = await registry.readLife();
    assert.deepEqual([life.incarnation, life.settled, life.sequence], [9, false, 0n]);
    assert.deepEqual(await build.publicKeysOf(registry), {});
    assert.deepEqual(
      [await registry.countNames(), (await registry.listMembers()).length, (await registry.listKeyChain()).size],
      [0, 0, 0],
    );
    assert.deepEqual(await registry.readLayouts(), { unretired: [], retiredUpTo: 0 });
    assert.equal((await registry.takeLease(holder, undefined, 40n))?.epoch, 41n);
    assert.equal(await registry.settle(9, 0n), true);
  });
};

const testRosters = (it: RegistryTest): void => {
  const roster = (expectNumber: bigint, number: bigint, keep = false) => ({
    ...{ expectNumber, expectHash: build.bytes(String(expectNumber)), number, hash: build.bytes(String(number)) },
    ...{ keyEpoch: Number(number), roster: build.record(`roster ${number}`), keep },
  });

  it('swaps the roster only when number and hash are the expected ones', async ({ registry, other }) => {
    await build.createNetwork(registry);
    assert.deepEqual(await registry.readRoster(), build.firstRoster.roster);
    assert.equal(await registry.swapRoster({ ...roster(1n, 2n), expectHash: build.bytes('x') }), false);
    assert.equal(await registry.swapRoster(roster(3n, 4n)), false);
    await assert.rejects(registry.swapRoster(roster(1n, 1n)), { code: 'bad-request' });
    const won = await Promise.all([registry, other()].map((each) => each.swapRoster(roster(1n, 2n))));
    assert.deepEqual(won.sort(), [false, true]);
    assert.deepEqual(await registry.readRoster(), build.record('roster 2'));
    assert.equal((await registry.readLife()).keyEpoch, 2);
  });

  it('takes the keys of a new epoch with the roster that names it, or not at all', async ({ registry, other }) => {
    await build.createNetwork(registry);
    const keysOf = (text: string) => ({
      boxes: [
        { recipient: build.keyHash('a'), kind: 1 as const, epoch: 2, box: build.record(text) },
        { recipient: build.keyHash('b'), kind: 3 as const, epoch: 2, box: build.record(`${text} b`) },
      ],
      chain: { epoch: 1, record: build.bytes(text, 77) },
    });
    const lost = { ...roster(1n, 2n), expectHash: build.bytes('x'), keys: keysOf('lost') };
    assert.equal(await registry.swapRoster(lost), false);
    assert.deepEqual(await registry.listKeyBoxes(), []);
    assert.equal((await registry.listKeyChain()).size, 0);
    // A record that a rotation which came to nothing left behind does not stand in the way.
    await registry.putKeyChain(1, build.bytes('o', 77));
    const old = { recipient: build.keyHash('a'), kind: 1 as const, epoch: 1, box: build.record('old') };
    const authority = { ...old, kind: 2 as const };
    await registry.putKeyBoxes([old, authority]);
    assert.equal(await registry.swapRoster({ ...roster(1n, 2n), keys: keysOf('won') }), true);
    const { boxes, chain } = keysOf('won');
    const held = [...(await other().listKeyBoxes(build.keyHash('a')))].sort((x, y) => x.kind - y.kind);
    assert.deepEqual(held, [boxes[0], authority], 'the box of the older epoch is of no use any more');
    assert.deepEqual(await other().listKeyBoxes(build.keyHash('b')), boxes.slice(1));
    assert.deepEqual([...(await other().listKeyChain())], [[1, chain.record]]);
    const short = { ...keysOf('won'), chain: { epoch: 2, record: build.bytes('c', 76) } };
    await assert.rejects(registry.swapRoster({ ...roster(2n, 3n), keys: short }), { code: 'bad-request' });
  });

  it('keeps the first roster and those that changed the gateways, in order of their numbers', async ({ registry }) => {
    await build.createNetwork(registry);
    for (let number = 2n; number <= 11n; number++) {
      assert.equal(await registry.swapRoster(roster(number - 1n, number, number % 3n === 0n || number === 11n)), true);
    }
    const records = (numbers: number[]) => numbers.map((number) => build.record(`roster ${number}`));
    assert.deepEqual(await registry.listKeptRosters(0n), records([1, 3, 6, 9, 11]));
    assert.deepEqual(await registry.listKeptRosters(6n), records([9, 11]));
    assert.deepEqual(await registry.listKeptRosters(11n), []);
  });
};

const testMembers = (it: RegistryTest): void => {
  it('gives members back as they were put, and replaces them', async ({ registry, other }) => {
    await build.createNetwork(registry);
    const members = [
      build.member('n1', { addresses: ['n1:1', 'n1:2'], zone: 'ü "zone"' }),
      build.member('c', { role: 'client', addresses: [], zone: '', capacityBytes: 0 }),
      build.member('g', { role: 'gateway', spki: new Uint8Array(91).fill(0) }),
    ];
    for (const member of members) await registry.putMember(member);
    const listed = [...(await other().listMembers())].sort((a, b) => (a.role < b.role ? -1 : 1));
    assert.deepEqual(listed, [members[1], members[2], members[0]]);
    const changed = build.member('n1', { addresses: ['n1:9'], stateReason: '' });
    await registry.putMember(changed);
    assert.deepEqual(await registry.getMember(changed.memberId), changed);
    assert.equal(await registry.getMember(build.member('x').memberId), undefined);
    assert.deepEqual((await build.publicKeysOf(registry))['network:nodes'], ['n1:9']);
  });

  it('shows the first addresses of nodes that are not removed, each once', async ({ registry }) => {
    await build.createNetwork(registry);
    const nodes = async () => (await build.publicKeysOf(registry))['network:nodes'];
    await registry.putMember(build.member('n1', { addresses: ['h:1', 'h:2'] }));
    await registry.putMember(build.member('n2', { addresses: ['h:1'], state: 'down' }));
    await registry.putMember(build.member('n3', { addresses: ['h:3'] }));
    await registry.putMember(build.member('g', { role: 'gateway', addresses: ['g:1'] }));
    assert.deepEqual(await nodes(), ['h:1', 'h:3']);
    assert.equal(await registry.setMemberState(build.member('n1').memberId, 'removed', 'operator'), true);
    assert.deepEqual(await nodes(), ['h:1', 'h:3']);
    assert.equal(await registry.setMemberState(build.member('n2').memberId, 'removed', 'operator'), true);
    assert.deepEqual(await nodes(), ['h:3']);
    await registry.putMember(build.member('n1', { addresses: ['h:1'] }));
    assert.deepEqual(await nodes(), ['h:1', 'h:3']);
  });

  it('notes since when a state holds, and leaves that alone when it is repeated', async ({ registry }) => {
    await build.createNetwork(registry);
    const member = build.member('n1');
    await registry.putMember(member);
    assert.equal(await registry.setMemberState(member.memberId, 'up', 'again'), true);
    const same = await registry.getMember(member.memberId);
    assert.deepEqual([same?.stateSinceMs, same?.stateReason], [member.stateSinceMs, 'again']);
    assert.equal(await registry.setMemberState(member.memberId, 'down', 'no "answer"\n'), true);
    const down = await registry.getMember(member.memberId);
    assert.deepEqual([down?.state, down?.stateReason, down?.addresses], ['down', 'no "answer"\n', member.addresses]);
    assert.notEqual(down?.stateSinceMs, member.stateSinceMs);
    assert.equal(Number.isInteger(down?.stateSinceMs), true);
    assert.equal(await registry.setMemberState(build.member('x').memberId, 'up', ''), false);
  });

  it('moves a member only out of the state that was judged, when one is named', async ({ registry }) => {
    await build.createNetwork(registry);
    const member = build.member('n1');
    await registry.putMember(member);
    assert.equal(await registry.setMemberState(member.memberId, 'out', 'late', 'down'), false);
    assert.deepEqual(await registry.getMember(member.memberId), member);
    assert.equal(await registry.setMemberState(member.memberId, 'down', 'silent', 'up'), true);
    assert.equal(await registry.setMemberState(member.memberId, 'suspect', 'slow', 'up'), false);
    assert.equal(await registry.setMemberState(member.memberId, 'quarantine', 'flaps', 'down'), true);
    const found = await registry.getMember(member.memberId);
    assert.deepEqual([found?.state, found?.stateReason], ['quarantine', 'flaps']);
    assert.equal(await registry.setMemberState(build.member('x').memberId, 'up', '', 'up'), false);
  });

  it('puts a record back only while its member is in the state that was read', async ({ registry, other }) => {
    await build.createNetwork(registry);
    const member = build.member('n1', { addresses: ['n1:1'] });
    assert.equal(await registry.putMember(member, 'up'), false);
    assert.equal(await registry.putMember(member, 'none'), true);
    assert.equal(await registry.putMember({ ...member, zone: 'x' }, 'none'), false);
    await other().setMemberState(member.memberId, 'out', 'silent', 'up');
    assert.equal(await registry.putMember({ ...member, addresses: ['n1:2'] }, 'up'), false);
    const found = await registry.getMember(member.memberId);
    assert.deepEqual([found?.state, found?.addresses, found?.zone], ['out', ['n1:1'], member.zone]);
    assert.deepEqual((await build.publicKeysOf(registry))['network:nodes'], ['n1:1']);
    assert.equal(found && (await registry.putMember({ ...found, addresses: ['n1:2'] }, 'out')), true);
    assert.deepEqual((await registry.getMember(member.memberId))?.addresses, ['n1:2']);
  });
};

const testKeys = (it: RegistryTest): void => {
  it('keeps key boxes per recipient, kind and epoch, replacing repeated ones', async ({ registry }) => {
    await build.createNetwork(registry);
    const box = (recipient: string, kind: 1 | 2 | 3, epoch: number, text: string) => ({
      ...{ recipient: build.keyHash(recipient), kind, epoch, box: build.record(text) },
    });
    await registry.putKeyBoxes([
      box('a', 1, 1, 'old'),
      box('a', 1, 2, 'a12'),
      box('a', 2, 1, 'a21'),
      box('b', 3, 1, 'b'),
    ]);
    await registry.putKeyBoxes([box('a', 1, 1, 'a11')]);
    const listed = [...(await registry.listKeyBoxes(build.keyHash('a')))].sort(
      (x, y) => x.kind - y.kind || x.epoch - y.epoch,
    );
    assert.deepEqual(listed, [box('a', 1, 1, 'a11'), box('a', 1, 2, 'a12'), box('a', 2, 1, 'a21')]);
    assert.equal((await registry.listKeyBoxes()).length, 4);
    assert.deepEqual(await registry.listKeyBoxes(build.keyHash('nobody')), []);
    assert.deepEqual(await registry.listKeyBoxes(build.keyHash('b')), [box('b', 3, 1, 'b')]);
  });

  it('keeps the first chain record of an epoch', async ({ registry }) => {
    await build.createNetwork(registry);
    const record = (fill: number) => new Uint8Array(77).fill(fill);
    await registry.putKeyChain(2, record(2));
    await registry.putKeyChain(1, record(0));
    await registry.putKeyChain(1, record(255));
    const chain = await registry.listKeyChain();
    assert.deepEqual(
      [...chain].sort(([a], [b]) => a - b),
      [
        [1, record(0)],
        [2, record(2)],
      ],
    );
  });
};

const testTokens = (it: RegistryTest): void => {
  const token = (tokenId: string, usesMax: number) => ({
    ...({ tokenId, role: 'node', record: build.record(tokenId), createdBy: build.member('o').memberId } as const),
    ...{ expiresMs: 1_763_868_000_123, usesMax },
  });

  it('gives exactly the uses a token has to different keys of two clients at once', async ({ registry, other }) => {
    await build.createNetwork(registry);
    await registry.putToken(token('t1', 3));
    const clients = [registry, other()];
    const keys = Array.from({ length: 8 }, (_, at) => build.keyHash(`k${at}`));
    const takes = keys.flatMap((key) =>
      clients.map(async (each) => ({ key, outcome: await each.takeToken('t1', key) })),
    );
    const outcomes = await Promise.all(takes);
    const taken = outcomes.filter(({ outcome }) => outcome === 'taken').map(({ key }) => key);
    assert.equal(taken.length, 3);
    assert.equal(new Set(taken).size, 3);
    const stored = await registry.getToken('t1');
    assert.deepEqual([...(stored?.usedBy ?? [])].sort(), [...taken].sort());
    for (const key of keys) {
      assert.equal(await registry.takeToken('t1', key), taken.includes(key) ? 'repeated' : 'used');
    }
  });

  it('gives tokens back as they were put, with the keys that took them in order', async ({ registry }) => {
    await build.createNetwork(registry);
    await registry.putToken(token('t1', 2));
    await registry.putToken(token('t2', 1));
    for (const key of ['b', 'a']) assert.equal(await registry.takeToken('t1', build.keyHash(key)), 'taken');
    await registry.putToken(token('t1', 9));
    const expected = { ...token('t1', 2), usedBy: [build.keyHash('b'), build.keyHash('a')] };
    assert.deepEqual(await registry.getToken('t1'), expected);
    const listed = [...(await registry.listTokens())].sort((a, b) => (a.tokenId < b.tokenId ? -1 : 1));
    assert.deepEqual(listed, [expected, { ...token('t2', 1), usedBy: [] }]);
  });

  it('forgets a removed token', async ({ registry }) => {
    await build.createNetwork(registry);
    await registry.putToken(token('t1', 1));
    assert.equal(await registry.takeToken('t1', build.client), 'taken');
    assert.equal(await registry.removeToken('t1'), true);
    assert.equal(await registry.removeToken('t1'), false);
    assert.equal(await registry.takeToken('t1', build.client), 'unknown');
    assert.equal(await registry.getToken('t1'), undefined);
    assert.deepEqual(await registry.listTokens(), []);
  });
};

const testLeases = (it: RegistryTest): void => {
  it('fences: a lease is taken with a higher epoch, and the old holder can do nothing with it', async ({
    registry,
    other,
  }) => {
    await build.createNetwork(registry);
    const second = other();
    assert.equal(await registry.readLease(), undefined);
    const first = await registry.takeLease(holder('a'), undefined);
    const { memberId, instance, address } = holder('a');
    assert.deepEqual(first, { epoch: 1n, renewal: 1n, holder: memberId, instance, address, released: false });
    assert.equal(await second.takeLease(holder('b'), undefined), undefined);
    const renewed = await registry.renewLease(1n, instance);
    assert.equal(renewed?.renewal, 2n);
    assert.equal(await second.takeLease(holder('b'), { epoch: 1n, renewal: 1n }), undefined);
    const taken = await second.takeLease(holder('b'), { epoch: 1n, renewal: 2n });
    assert.deepEqual([taken?.epoch, taken?.renewal, taken?.holder], [2n, 1n, holder('b').memberId]);
    assert.equal(await registry.renewLease(1n, instance), undefined);
    assert.equal(await registry.renewLease(2n, instance), undefined);
    await registry.releaseLease(1n, instance);
    assert.deepEqual(await registry.readLease(), taken);
  });

  it('lets anyone take a released lease, and never its epoch again', async ({ registry }) => {
    await build.createNetwork(registry);
    await registry.takeLease(holder('a'), undefined);
    await registry.releaseLease(1n, holder('a').instance);
    assert.equal((await registry.readLease())?.released, true);
    assert.equal(await registry.renewLease(1n, holder('a').instance), undefined);
    assert.equal((await registry.takeLease(holder('b'), undefined))?.epoch, 2n);
  });

  it('gives a lease to one of several candidates who saw the same', async ({ registry, other }) => {
    await build.createNetwork(registry);
    await registry.takeLease(holder('a'), undefined);
    const candidates = [registry, other(), other()];
    const seen = { epoch: 1n, renewal: 1n };
    const outcomes = await Promise.all(candidates.map((each, at) => each.takeLease(holder(`b${at}`), seen)));
    assert.equal(outcomes.filter((lease) => lease !== undefined).length, 1);
  });
};

const testLayouts = (it: RegistryTest): void => {
  const layout = (number: number) => ({ number, layout: build.record(`layout ${number}`) });

  it('appends layouts one by one in the current incarnation only', async ({ registry, other }) => {
    await registry.createNetwork(build.networkId, build.firstRoster);
    assert.deepEqual(await registry.readLayouts(), { unretired: [], retiredUpTo: 0 });
    assert.equal(await registry.appendLayout(layout(2), 1), false);
    assert.equal(await registry.appendLayout(layout(1), 2), false);
    assert.deepEqual((await Promise.all([registry, other()].map((each) => each.appendLayout(layout(1), 1)))).sort(), [
      false,
      true,
    ]);
    assert.equal(await registry.appendLayout(layout(2), 1), true);
    assert.deepEqual(await other().readLayouts(), { unretired: [layout(1), layout(2)], retiredUpTo: 0 });
  });

  it('takes layouts, verdicts and what is put back from the leader of the lease alone', async ({ registry, other }) => {
    await build.createNetwork(registry);
    await registry.putMember(build.member('n1', { state: 'down' }));
    await registry.takeLease(holder('old'), undefined);
    const put = await build.putName(registry, 'a');
    const late = other();
    assert.equal(await late.appendLayout(layout(2), 1, 1n), true);
    await late.retireLayouts(1, 1, 1n);
    await registry.releaseLease(1n, holder('old').instance);
    // Nobody leads, and then somebody else.
    for (const by of [undefined, 'new']) {
      if (by) await registry.takeLease(holder(by), undefined);
      const stale = { code: 'stale-leader' };
      assert.equal(await late.appendLayout(layout(3), 1, 1n), false);
      await assert.rejects(late.retireLayouts(2, 1, 1n), stale);
      assert.equal(await late.setMemberState(build.member('n1').memberId, 'out', 'gone', 'down', 1n), false);
      const dead = [{ name: 'a', sequence: put.sequence + 1n }];
      await assert.rejects(late.restore({ incarnation: 1, epoch: 1n, dead, sequence: put.sequence + 9n }), stale);
      assert.equal(await late.settle(1, put.sequence + 9n, 1n), false);
    }
    assert.deepEqual(await registry.readLayouts(), { unretired: [layout(2)], retiredUpTo: 1 });
    assert.equal((await registry.readLife()).sequence, put.sequence);
    assert.equal((await registry.getMember(build.member('n1').memberId))?.state, 'down');
    assert.equal((await registry.getNames(['a']))[0]?.sequence, put.sequence);
    assert.equal(await late.appendLayout(layout(3), 1, 2n), true);
    await late.retireLayouts(2, 1, 2n);
    assert.equal(await late.setMemberState(build.member('n1').memberId, 'out', 'gone', 'down', 2n), true);
    assert.equal(await late.settle(1, put.sequence, 2n), true);
    await late.restore({ incarnation: 1, epoch: 2n, dead: [{ name: 'a', sequence: put.sequence + 1n }] });
    assert.deepEqual(await registry.getNames(['a']), [undefined]);
  });

  it('retires older layouts, never the newest, and never goes back', async ({ registry }) => {
    await registry.createNetwork(build.networkId, build.firstRoster);
    await registry.retireLayouts(5, 1);
    for (let number = 1; number <= 12; number++) assert.equal(await registry.appendLayout(layout(number), 1), true);
    await registry.retireLayouts(9, 1);
    await registry.retireLayouts(2, 1);
    assert.deepEqual(await registry.readLayouts(), { unretired: [layout(10), layout(11), layout(12)], retiredUpTo: 9 });
    await assert.rejects(registry.retireLayouts(10, 2), { code: 'stale-incarnation' });
    await registry.retireLayouts(99, 1);
    assert.deepEqual(await registry.readLayouts(), { unretired: [layout(12)], retiredUpTo: 11 });
    assert.equal(await registry.appendLayout(layout(13), 1), true);
  });
};
