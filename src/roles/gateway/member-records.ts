// What a gateway knows of a member goes into its record; what state it is in does not: sentinels and the leader move
// that, maybe between this gateway's reading and writing. A record is put back only while its state is as it was read.
import { OperaError } from '../../errors/errors.ts';
import type { MemberId } from '../../model/ids.ts';
import type { MemberRecord, Registry } from '../../registry/registry.ts';

/** States move seldom: twice within one step of a gateway is chance, more is something else. */
const attemptsMax = 5;

/** Puts what `next` makes of the record, read again as often as its state moved; nothing when `next` answers so. */
export const changeMember = async (
  registry: Pick<Registry, 'getMember' | 'putMember'>,
  memberId: MemberId,
  next: (before: MemberRecord | undefined) => MemberRecord | undefined,
): Promise<void> => {
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    const before = await registry.getMember(memberId);
    const record = next(before);
    if (!record || (await registry.putMember(record, before?.state ?? 'none'))) return;
  }
  throw new OperaError('conflict', 'the state of a member keeps changing; try again');
};
