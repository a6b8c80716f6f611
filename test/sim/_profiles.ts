// Which faults the network is expected to stand, all but one; and how many gateways it has.
import { type FaultName, faultNames } from './_nemesis.ts';

/**
 * A database that goes back in the same life, in the same file, is noticed by masters that had seen what was lost, and
 * by the others from the next heartbeats: for up to a second one of those may answer names as they were.
 */
const beyondThePromise: readonly FaultName[] = ['silent-rollback'];

export const defaultFaults: readonly FaultName[] = faultNames.filter((name) => !beyondThePromise.includes(name));

/** Half of the networks have two. */
export const gatewaysOf = (seed: number): number => 1 + (seed % 2);
