// How long silence may last before it means something: the presets of `--timing`, for masters and sentinels alike.
// Invariant: suspicion comes before a verdict, a verdict before any copy moves, and a port that refuses connections is
// waited for no longer than one that hangs. Everything is counted on monotonic clocks.
import { OperaError } from '../errors/errors.ts';

export const timingNames = ['local', 'lan', 'wide'] as const;
export type TimingName = (typeof timingNames)[number];

export interface Timing {
  readonly name: TimingName;
  /** Silence after which a member is suspected: clients ask it last, nothing else happens. */
  readonly suspectMs: number;
  /** Silence after which it is taken for down. A probe is also waited for this long: a late answer is an answer. */
  readonly downMs: number;
  /** What a member that always answered slowly is allowed at most. */
  readonly downMaxMs: number;
  /** A node that is down for longer is taken out of the layout, and its copies are made elsewhere. */
  readonly graceMs: number;
  /** The same while its port refuses connections: then the process is gone, not slow. */
  readonly graceRefusedMs: number;
  /** A node that flapped must stay up for so long before it gets copies again; doubled each time, up to an hour. */
  readonly quarantineMs: number;
}

const second = 1_000;
const minute = 60 * second;

/**
 * Half of these numbers and a busy machine is taken for a dead one; twice them and writes wait needlessly for owners
 * that are gone, and copies are missing for longer.
 */
export const timings: Readonly<Record<TimingName, Timing>> = {
  /** Processes of one machine: a refused port is certain there, since no cable or switch can lie. */
  local: {
    name: 'local',
    suspectMs: 2 * second,
    downMs: 5 * second,
    downMaxMs: 8 * second,
    graceMs: minute,
    graceRefusedMs: 5 * second,
    quarantineMs: minute,
  },
  /** One building: a restart of a machine or of its service is over within a minute, and moves nothing. */
  lan: {
    name: 'lan',
    suspectMs: 3 * second,
    downMs: 8 * second,
    downMaxMs: 15 * second,
    graceMs: minute,
    graceRefusedMs: minute,
    quarantineMs: 5 * minute,
  },
  /** Machines at several sites: lines and routers are away for minutes, and copying over them costs the most. */
  wide: {
    name: 'wide',
    suspectMs: 5 * second,
    downMs: 15 * second,
    downMaxMs: 40 * second,
    graceMs: 10 * minute,
    graceRefusedMs: 10 * minute,
    quarantineMs: 15 * minute,
  },
};

/** The preset of a name; `config` when there is none. Undefined means the default, `lan`. */
export const timingOf = (name: string | undefined): Timing => {
  const known = timingNames.find((each) => each === (name ?? 'lan'));
  if (known === undefined) throw new OperaError('config', `timing must be ${timingNames.join(', ')}`);
  return timings[known];
};
