// The faults and bad inputs that joining, storing and serving must stand, each with the guards against it.
import { diskFaults } from './_disks.ts';
import { memberFaults } from './_members.ts';
import type { FaultTable } from './mutant.ts';
import { sealingFaults } from './_sealing.ts';
import { wireFaults } from './_wire.ts';

export const faultTable: FaultTable = { ...memberFaults, ...sealingFaults, ...wireFaults, ...diskFaults };
