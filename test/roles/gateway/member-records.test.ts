// A gateway notes where a member listens while sentinels and the leader move its state.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryRegistry } from '../../../src/registry/memory.ts';
import { MemoryRegistryStore } from '../../../src/registry/memory-store.ts';
import type { MemberRecord } from '../../../src/registry/registry.ts';
import { changeMember } from '../../../src/roles/gateway/member-records.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import * as build from '../../support/registry-builders.ts';

const begin = async () => {
  const registry = new MemoryRegistry(new MemoryRegistryStore(), new ManualClock());
  await build.createNetwork(registry);
  const member = build.member('n1', { state: 'down', addresses: ['n1:1'] });
  await registry.putMember(member);
  return { registry, member };
};

describe('a record that a gateway changes', () => {
  test('keeps the state that the leader set between reading and writing', async () => {
    const { registry, member } = await begin();
    const seen: (MemberRecord | undefined)[] = [];
    const slow = {
      getMember: async () => {
        const before = await registry.getMember(member.memberId);
        seen.push(before);
        await registry.setMemberState(member.memberId, 'out', 'silent', 'down');
        return before;
      },
      putMember: registry.putMember.bind(registry),
    };
    await changeMember(slow, member.memberId, (before) => before && { ...before, addresses: ['n1:2'] });
    assert.deepEqual(
      seen.map((record) => record?.state),
      ['down', 'out'],
    );
    const found = await registry.getMember(member.memberId);
    assert.deepEqual([found?.state, found?.stateReason, found?.addresses], ['out', 'silent', ['n1:2']]);
  });

  test('is left alone when it keeps changing', async () => {
    const { registry, member } = await begin();
    const restless = { getMember: registry.getMember.bind(registry), putMember: async () => false };
    const changed = changeMember(restless, member.memberId, () => member);
    await assert.rejects(changed, { code: 'conflict' });
  });
});
