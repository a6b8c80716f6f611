// Which faults the network is expected to stand: all of them. A fault that waits for work that is not done is left out
// here, with its reason.
import { type FaultName, faultNames } from './_nemesis.ts';

export const defaultFaults: readonly FaultName[] = faultNames;
