// When a local network that was brought up may be used: every node is in the newest layout and holds what it should.
// A registry that is put back from the nodes may take minutes; as long as that goes on, it is waited for.
import { OperaError } from '../errors/errors.ts';
import type { Clock } from '../runtime/clock.ts';
import type { AnswerOf } from '../wire/routes.ts';

type Status = AnswerOf<'network.status'>;

export interface SettledOptions {
  /** The network's status; undefined while nobody tells it. */
  readonly ask: () => Promise<Status | undefined>;
  readonly nodes: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Without any progress for so long it is given up. */
  readonly patienceMs: number;
  /** Told once when it takes long for a good reason. */
  readonly note: (text: string) => void;
  readonly hint: string;
}

const isSettled = (status: Status, nodes: number): boolean =>
  status.layoutNumber > 0 &&
  status.placementsLayout === status.layoutNumber &&
  status.nodes.filter(
    ({ layoutNumber, completeLayout }) => Math.min(layoutNumber, completeLayout) === status.layoutNumber,
  ).length >= nodes;

/** How far a registry is that is put back; undefined while none is. */
const comebackOf = ({ registryMode, rebuild }: Status): string | undefined =>
  registryMode === 'safe' && rebuild ? JSON.stringify(rebuild) : undefined;

/** Rejects with `unavailable` when nothing happens for `patienceMs`. */
export const waitSettled = async (options: SettledOptions): Promise<void> => {
  const { ask, nodes, clock, signal, patienceMs, note, hint } = options;
  let deadlineMs = clock.monotonicMs() + patienceMs;
  let comeback: string | undefined;
  for (;;) {
    const status = await ask();
    if (status && isSettled(status, nodes)) return;
    const now = status && comebackOf(status);
    if (now !== undefined && now !== comeback) {
      if (comeback === undefined) note('the registry is put back from the nodes; with many files this takes minutes');
      comeback = now;
      deadlineMs = clock.monotonicMs() + patienceMs;
    }
    if (clock.monotonicMs() > deadlineMs) {
      throw new OperaError('unavailable', 'the network did not become healthy in time', { hint });
    }
    await clock.sleep(50, { signal });
  }
};
